"""What determines the numbers of a run."""

from recbole.config import Config

from recbole_apa.core.option_table import identifying
from recbole_apa.data.dataset import APADataset
from recbole_apa.model.apa import APA
from recbole_apa.runs.store import RunIdentity


def identity_of(config: Config, model: APA, dataset: APADataset, secret: bytes) -> RunIdentity:
    """The identity of a run that is trained now.

    Args:
        config: an ``APAConfig``.
        dataset: the training part.
        secret: for the run's digests.
    """
    digest = dataset.digest(secret)
    return RunIdentity(
        settings=identifying(model.settings),
        options=config.plain_options(),
        dataset=digest.hex(),
        dataset_sums=digest.text(),
        backbone=model.engine.backbone.digest,
        draw=dataset.cutoffs,
    )
