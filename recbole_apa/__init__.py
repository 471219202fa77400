"""recbole-apa: an LLM recommender inside RecBole whose training data can be forgotten, exactly.

``from recbole_apa import APA`` is all that most programs need. Names are imported when first used.
"""

import os
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from recbole_apa import compat

if "OMP_WAIT_POLICY" not in os.environ:
    # read when torch is loaded: threads that spin for long make two runs at once four times slower, not twice
    # (benchmarks/neighbours.py)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# read when cuBLAS is started; with it products on a GPU give the same bits each time (core/system/deterministic.py)
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

compat.install()

_WHERE = {
    "APA": "recbole_apa.model.apa",
    "APAConfig": "recbole_apa.pipeline.config",
    "APANext": "recbole_apa.next_item.recommender",
    "APADataset": "recbole_apa.data.dataset",
    "APAError": "recbole_apa.core.errors",
    "APATrainer": "recbole_apa.model.trainer",
    "RunResult": "recbole_apa.pipeline.build",
    "evaluate_run": "recbole_apa.pipeline.quick_start",
    "register": "recbole_apa.pipeline.registration",
    "compare": "recbole_apa.comparison.run_methods",
    "copy_run": "recbole_apa.runs.remote.working_copy",
    "compare_forgetting": "recbole_apa.comparison.forgetting",
    "ForgetRequest": "recbole_apa.comparison.forget_task",
    "add_next_items": "recbole_apa.next_item.run.add",
    "add": "recbole_apa.unlearning.additions.stage",
    "audit": "recbole_apa.unlearning.proof.quick",
    "catch_up": "recbole_apa.unlearning.catching_up",
    "audit_next_items": "recbole_apa.next_item.run.proof",
    "catch_up_next_items": "recbole_apa.next_item.run.catch_up",
    "export_recommendations": "recbole_apa.next_item.run.recommend",
    "forget_next_items": "recbole_apa.next_item.run.forget",
    "open_next_items": "recbole_apa.next_item.run.train",
    "predict": "recbole_apa.pipeline.predictions",
    "predict_pairs": "recbole_apa.pipeline.predictions",
    "Prediction": "recbole_apa.pipeline.predictions",
    "Recommendation": "recbole_apa.pipeline.recommendation",
    "recommend": "recbole_apa.next_item.run.recommend",
    "run": "recbole_apa.pipeline.quick_start",
    "run_next_items": "recbole_apa.next_item.run.train",
    "tune": "recbole_apa.tuning",
    "unlearn": "recbole_apa.unlearning.stage",
    "verify": "recbole_apa.unlearning.proof.full",
    "verify_next_items": "recbole_apa.next_item.run.proof",
}

__all__ = [
    "APA",
    "APAConfig",
    "APADataset",
    "APAError",
    "APANext",
    "APATrainer",
    "ForgetRequest",
    "Prediction",
    "Recommendation",
    "RunResult",
    "add",
    "add_next_items",
    "audit",
    "audit_next_items",
    "catch_up",
    "catch_up_next_items",
    "compare",
    "compare_forgetting",
    "copy_run",
    "evaluate_run",
    "export_recommendations",
    "forget_next_items",
    "open_next_items",
    "predict",
    "predict_pairs",
    "recommend",
    "register",
    "run",
    "run_next_items",
    "tune",
    "unlearn",
    "verify",
    "verify_next_items",
]

if TYPE_CHECKING:
    from recbole_apa.comparison.forget_task import ForgetRequest
    from recbole_apa.comparison.forgetting import compare_forgetting
    from recbole_apa.comparison.run_methods import compare
    from recbole_apa.core.errors import APAError
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.model.apa import APA
    from recbole_apa.model.trainer import APATrainer
    from recbole_apa.next_item.recommender import APANext
    from recbole_apa.next_item.run.add import add_next_items
    from recbole_apa.next_item.run.catch_up import catch_up_next_items
    from recbole_apa.next_item.run.forget import forget_next_items
    from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
    from recbole_apa.next_item.run.recommend import export_recommendations, recommend
    from recbole_apa.next_item.run.train import open_next_items, run_next_items
    from recbole_apa.pipeline.build import RunResult
    from recbole_apa.pipeline.config import APAConfig
    from recbole_apa.pipeline.predictions import Prediction, predict, predict_pairs
    from recbole_apa.pipeline.quick_start import evaluate_run, run
    from recbole_apa.pipeline.recommendation import Recommendation
    from recbole_apa.pipeline.registration import register
    from recbole_apa.runs.remote.working_copy import copy_run
    from recbole_apa.tuning import tune
    from recbole_apa.unlearning.additions.stage import add
    from recbole_apa.unlearning.catching_up import catch_up
    from recbole_apa.unlearning.proof.full import verify
    from recbole_apa.unlearning.proof.quick import audit
    from recbole_apa.unlearning.stage import unlearn


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _WHERE:
        raise AttributeError(f"module 'recbole_apa' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def _version() -> str:
    """The version of setup.cfg, as it was installed; ``0+unknown`` in a bare checkout, where nothing was."""
    try:
        return metadata.version("recbole-apa")
    except metadata.PackageNotFoundError:
        return "0+unknown"
