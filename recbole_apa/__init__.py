"""recbole-apa: an LLM recommender inside RecBole whose training data can be forgotten, exactly.

``from recbole_apa import APA`` is all that most programs need. Names are imported when first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recbole_apa import compat

if "OMP_WAIT_POLICY" not in os.environ:
    # read when torch is loaded: threads that spin for long make two runs at once four times slower, not twice
    # (benchmarks/neighbours.py)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# read when cuBLAS is started; with it products on a GPU give the same bits each time (repeatable.py)
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

compat.install()

_WHERE = {
    "APA": "recbole_apa.model",
    "APAConfig": "recbole_apa.recbole_bridge",
    "APADataset": "recbole_apa.data.dataset",
    "APAError": "recbole_apa.errors",
    "APATrainer": "recbole_apa.trainer",
    "RunResult": "recbole_apa.assembly",
    "evaluate_run": "recbole_apa.quick_start",
    "register": "recbole_apa.recbole_bridge",
    "compare": "recbole_apa.comparison",
    "copy_run": "recbole_apa.storage.place",
    "compare_forgetting": "recbole_apa.forgetting",
    "ForgetRequest": "recbole_apa.methods.forget_task",
    "audit": "recbole_apa.unlearning.audit",
    "run": "recbole_apa.quick_start",
    "tune": "recbole_apa.tuning",
    "unlearn": "recbole_apa.unlearning.session",
    "verify": "recbole_apa.unlearning.verify",
}

__all__ = [
    "APA",
    "APAConfig",
    "APADataset",
    "APAError",
    "APATrainer",
    "ForgetRequest",
    "RunResult",
    "audit",
    "compare",
    "compare_forgetting",
    "copy_run",
    "evaluate_run",
    "register",
    "run",
    "tune",
    "unlearn",
    "verify",
]

if TYPE_CHECKING:
    from recbole_apa.assembly import RunResult
    from recbole_apa.comparison import compare
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.errors import APAError
    from recbole_apa.forgetting import compare_forgetting
    from recbole_apa.methods.forget_task import ForgetRequest
    from recbole_apa.model import APA
    from recbole_apa.quick_start import evaluate_run, run
    from recbole_apa.recbole_bridge import APAConfig, register
    from recbole_apa.storage.place import copy_run
    from recbole_apa.trainer import APATrainer
    from recbole_apa.tuning import tune
    from recbole_apa.unlearning.audit import audit
    from recbole_apa.unlearning.session import unlearn
    from recbole_apa.unlearning.verify import verify


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'recbole_apa' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
