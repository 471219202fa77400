"""APA as RecBole knows it, a model and a trainer, and how a trained state is made of samples."""

from recbole_apa.model.apa import APA
from recbole_apa.model.fit import StateBuilder
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.model.trainer import APATrainer

__all__ = ["APA", "APATrainer", "ShardTrainer", "StateBuilder"]
