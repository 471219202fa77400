"""What a request does outside the run folder: logs deleted, exports written again, where they are the run's own."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_apa.assembly import RunResult
from recbole_apa.evaluation_stage import traces_outside, write_export
from recbole_apa.outside import are_own_logs, is_own_export, mark, remove_logs
from recbole_apa.run_store import RunStore
from recbole_apa.trainer import APATrainer


def left_outside(before: Mapping[str, Any], trainer: APATrainer, result: RunResult) -> dict[str, list[str]]:
    """Where traces lie from now on."""
    old = before.get("outside", {})
    now = traces_outside(result)
    return {
        "tensorboard": now["tensorboard"],
        "logs": sorted({*old.get("logs", []), *now["logs"]}),
        "exports": sorted({*old.get("exports", []), *now["exports"]}),
    }


def own_outside(store: RunStore, before: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the manifest names outside the run, sorted by whether it is this run's own: logs to be deleted, exports to
    be written again, and what is not touched."""
    named, salt = before.get("outside", {}), before["salt"]
    known = {name for seen in store.lineage().values() for name in seen}
    # logs that are gone were deleted by an attempt that was interrupted
    boards = named.get("tensorboard", [])
    logs = [n for n in boards if not Path(n).exists() or are_own_logs(Path(n), salt, store.folder.name)]
    exports = [n for n in named.get("exports", []) if is_own_export(Path(n), salt, known)]
    others = [*boards, *named.get("exports", [])]
    left = [n for n in others if Path(n).exists() and n not in (*logs, *exports)]
    for name in left:
        getLogger().warning(f"{name} is named by the run and does not carry its mark: it is left as it is")
    return {"tensorboard": logs, "exports": exports, "left": left}


def clean_outside(own: Mapping[str, Sequence[str]], result: RunResult) -> None:
    """Delete the old training's tensorboard logs and write exports again."""
    for name in own["tensorboard"]:
        remove_logs(Path(name))
    for name in own["exports"]:
        write_export(Path(name), result.model, result.data)
        mark(Path(name), result.trainer.store.manifest()["salt"])
