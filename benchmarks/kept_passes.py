"""Runs of a benchmark whose frozen passes a folder keeps: no prompt is read twice, whatever is trained on it, nor after
an interruption, which loses no shard, either. About .3 MB a prompt with the default backbone; delete the folder at the
end."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_apa import APA, APAConfig
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.option_table import ACTIVATION_KEYS
from recbole_apa.core.seeding import digest_of
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.pipeline.build import RunResult, build
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.store import RunStore
from recbole_apa.runs.trunk_activations import activation_name, load_activations, save_activations

AT_ONCE = 500
"""Prompts whose frozen passes are one file."""


@contextmanager
def trained_run(dataset: str, options: Mapping[str, Any], kept: Path) -> Iterator[RunResult]:
    """Train APA, or finish an interrupted training. The run's folder is deleted at the end.

    Args:
        kept: a folder for the frozen passes of the prompts of all splits, and for the run.
    """
    config = APAConfig("APA", dataset, config_dict=options)
    config.settle_backbone()
    model, data = build(config)
    assert isinstance(model, APA)
    for part in data.parts:
        read_passes(model.engine, model.prompts_of(part), passes_in(kept, config))
    told = {name: value for name, value in options.items() if name != "data_path"}
    place = kept / f"run-{digest_of(dataset, json.dumps(told, sort_keys=True)).hex()[:12]}"
    with run_lock(place, "measuring"):
        trainer = make_trainer(config, model, RunStore(place))
        trainer.fit(data.train, data.valid, show_progress=config["show_progress"])
        yield RunResult({}, place, config, model, trainer, data)
    shutil.rmtree(place)


def passes_in(folder: Path, config: APAConfig) -> Path:
    """Where a folder keeps the frozen passes of a backbone, as this kind of machine computes them."""
    told = (machine_kind(config["device"]).text(), *(str(config[name]) for name in ACTIVATION_KEYS))
    return folder / f"passes-{digest_of(*told).hex()[:12]}"


def read_passes(engine: ScoringEngine, prompts: Sequence[TokenizedPrompt], folder: Path) -> None:
    """Put the frozen passes of all prompts into the engine's cache: from the folder, or computed and kept there."""
    for first in range(0, len(prompts), AT_ONCE):
        some = prompts[first : first + AT_ONCE]
        here = folder / digest_of(*map(activation_name, some)).hex()[:12]
        here.mkdir(parents=True, exist_ok=True)
        if load_activations(RunStore(here), engine.cache, some) < len(some):
            size = engine.step_size
            found = [frozen for i in range(0, len(some), size) for frozen in engine.freeze(some[i : i + size])]
            save_activations(RunStore(here), some, found)
            print(f"{first + len(some):,} of {len(prompts):,} prompts read", flush=True)
