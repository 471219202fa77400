from .build import RunResult as RunResult
from .build import open_run as open_run
from .config import APAConfig as APAConfig
from .quick_start import evaluate_run as evaluate_run
from .quick_start import run as run
from .registration import register as register
from .trainer_factory import make_trainer as make_trainer
