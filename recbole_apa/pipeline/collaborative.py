"""The collaborative model behind the partitions of RecEraser and GraphEraser: trained on the training rows alone."""

from pathlib import Path
from typing import Any

from recbole_apa.data.dataset import APADataset
from recbole_apa.data.presplit_files import Layout, write_presplit
from recbole_apa.partition import PARTITIONERS, Collaborative
from recbole_apa.pipeline.recbole_models import NAME, train_embeddings
from recbole_apa.runs.scratch import scratch


def collaborative_model(
    partition: str, dataset: APADataset, source: Path, seed: int, run: Path | None
) -> Collaborative:
    """The inputs of the named partition.

    Args:
        dataset: the training part of an :class:`~recbole_apa.data.dataset.APADataset`.
        source: the folder of its files.
        run: the folder of the run that is written, as in :func:`~recbole_apa.runs.scratch.scratch`.
    """
    samples = dataset.samples
    model = PARTITIONERS.find(partition).collaborative_model
    users: dict[str, Any] = {}
    items: dict[str, Any] = {}
    if model:
        with scratch(run) as folder:
            layout = Layout.of(dataset.config)
            write_presplit(folder, NAME, {"train": samples, "valid": [], "test": []}, source, layout)
            users, items = train_embeddings(model, folder, seed, layout)
    return Collaborative(
        {s.sample_id: s.user_id for s in samples}, {s.sample_id: s.item_id for s in samples}, users, items
    )
