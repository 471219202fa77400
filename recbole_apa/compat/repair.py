"""What a repair of RecBole is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Repair:
    """One fault of RecBole and the function that mends it.

    Attributes:
        module: the module of RecBole's after whose code the repair is applied.
        place: file and line of the fault in RecBole 1.2.0, from RecBole's folder on.
        text: what stands in that line (a test looks).
        since: from which release of which library on it shows; or the release of RecBole that fixed it.
        what: what goes wrong without the repair.
        by: file of this folder, and the function in it, which takes the module.
        optional: left out where ``RECBOLE_APA_COMPAT=0`` asks for RecBole's own reading.
    """

    module: str
    place: str
    text: str
    since: str
    what: str
    by: str
    optional: bool = False

    @property
    def is_mended_later(self) -> bool:
        """Whether RecBole 1.2.1 needs it no longer."""
        return self.since == "RecBole 1.2.1"
