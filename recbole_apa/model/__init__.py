"""APA as a RecBole model and trainer, and how a trained state is made from samples.

It may not know how a run is evaluated or built, workers (only their protocol), or requests.
"""

from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit import TrainedState, fit_state
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.model.trainer import APATrainer

__all__ = ["APA", "APATrainer", "FitInputs", "ShardTrainer", "TrainedState", "fit_state"]
