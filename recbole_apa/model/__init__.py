"""APA as RecBole knows it, a model and a trainer, and how a trained state is made of samples."""

from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit import TrainedState, fit_state
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.model.trainer import APATrainer

__all__ = ["APA", "APATrainer", "FitInputs", "ShardTrainer", "TrainedState", "fit_state"]
