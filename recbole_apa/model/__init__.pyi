from .apa import APA as APA
from .contracts import FitInputs as FitInputs
from .fit import TrainedState as TrainedState
from .fit import fit_state as fit_state
from .shard_trainer import ShardTrainer as ShardTrainer
from .trainer import APATrainer as APATrainer
