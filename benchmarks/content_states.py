"""What states of item texts say on the rows of :mod:`benchmarks.development_rows`, for several widths.

Terms without content, with the columns', with the states', and with both are combined on the development validation
rows and judged on the development test rows; nothing else of ml-100k is read. The default backbone reads each item's
text once.

    python -m benchmarks.content_states --out=FILE
"""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.development_rows import Development, read, write_training_period
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.text_states import TextStates
from recbole_apa.collaborative import Contents, TermOptions, collaborative_terms
from recbole_apa.collaborative.terms import term_names
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.data.run_data import RunData
from recbole_apa.model.settings import read_checked_settings
from recbole_apa.pipeline.config import APAConfig

WIDTHS = (0.005, 0.01, 0.02, 0.04)
SHOWN = ("log_loss", "auc", "user_auc", "few_log_loss", "few_auc")


def contents_of(data: RunData, content: str) -> tuple[Contents, float]:
    """What the option ``evidence_content`` makes of all items, and the seconds that it took."""
    config = APAConfig("APA", "ml-100k", None, {"evidence_content": content, "device": "cpu"})
    settings = read_checked_settings(config)
    backbone = load_backbone(settings.backbone, config["device"])
    engine = ScoringEngine(backbone, settings.backbone, settings.prompts, settings.adapters, cache_bytes=0)
    names, start = data.rows.items.names, time.perf_counter()
    of_items: CollaborativeSettings = settings.collaborative
    made = Contents.embedded(of_items, data.texts, names, np.arange(len(names)), TextStates(engine))
    return made, time.perf_counter() - start


def figures(development: Development, contents: Contents, options: TermOptions) -> dict[str, float]:
    """Of a combination of all terms that these contents give."""
    pasts, sums = development.pasts, (development.items, development.pairs)
    terms = collaborative_terms(pasts, *sums, options, contents)
    return development.judged(terms.columns, term_names(contents))


def main() -> None:
    given = begin(command(__doc__))
    with tempfile.TemporaryDirectory() as scratch:
        data = read(write_training_period(Path(scratch)))
    development = Development(data)
    both, seconds = contents_of(data, "both")
    states, plain = replace(both, columns=None), TermOptions()
    record: dict[str, Any] = {"none": figures(development, Contents(), plain)}
    record["columns"] = figures(development, Contents(both.columns), plain)
    for width in WIDTHS:
        options = replace(plain, state_width=width)
        record[f"states, width {width}"] = figures(development, states, options)
        record[f"both, width {width}"] = figures(development, both, options)
    rows = [[name, *(found[key] for key in SHOWN)] for name, found in record.items()]
    print(tabulate(rows, ["content", *SHOWN], tablefmt="github", floatfmt=".5f"))
    print(f"{len(both.texts)} texts in {seconds:.0f} s, e.g. {both.texts[0]!r}")
    keep(given, {"figures": record, "options": asdict(plain), "texts": len(both.texts), "seconds": seconds})


if __name__ == "__main__":
    main()
