"""What a cutoff draws."""

from recbole_apa.core.seeding import draw_hash


def is_drawn(sample_id: str, cutoff: str | None, seed: int | None = None) -> bool:
    """Whether a sample id falls at or below a cutoff of ``draw_cutoff``."""
    return cutoff is None or draw_hash(sample_id, seed) <= cutoff
