"""Export what the model will see as JSON lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from recbole_apa.core.files.whole import write_text
from recbole_apa.data.samples import Sample


def export_samples(
    folder: Path,
    splits: Mapping[str, Sequence[Sample]],
    text_of: Callable[[str], str],
    prompts: Mapping[str, Sequence[str]],
) -> None:
    """Write ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl``, one sample per line.

    Args:
        text_of: item token -> its text.
        prompts: the prompts by split, parallel to the samples.

    Raises:
        RunError: the folder cannot be written.
    """
    for name, samples in splits.items():
        lines = [
            json.dumps(sample_record(s, text_of, prompt), ensure_ascii=False) + "\n"
            for s, prompt in zip(samples, prompts[name], strict=True)
        ]
        write_text(folder / f"{name}.jsonl", "".join(lines))


def sample_record(sample: Sample, text_of: Callable[[str], str], prompt: str) -> dict[str, object]:
    """One line of the export; history oldest first."""
    return {
        "sample_id": sample.sample_id,
        "user_id": sample.user_id,
        "item_id": sample.item_id,
        "label": sample.label,
        "history": [[e.item_id, text_of(e.item_id), e.label] for e in sample.history],
        "target": text_of(sample.item_id),
        "prompt": prompt,
    }
