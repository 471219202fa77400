"""What determines the numbers of a run."""

from typing import TYPE_CHECKING

from recbole_apa.data.dataset import APADataset
from recbole_apa.model.apa import APA
from recbole_apa.runs.store import RunIdentity

if TYPE_CHECKING:
    from recbole_apa.pipeline.config import APAConfig


def identity_of(config: "APAConfig", model: APA, dataset: APADataset, secret: bytes) -> RunIdentity:
    """The identity of a run that is trained now.

    Args:
        dataset: the training part.
        secret: for the run's digests.
    """
    digest = dataset.digest(secret)
    return RunIdentity(
        settings=model.settings.identifying(),
        options=config.plain_options(),
        dataset=digest.hex(),
        dataset_sums=digest.text(),
        backbone=model.engine.backbone.digest,
        draw=dataset.cutoffs,
    )
