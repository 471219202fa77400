"""The collaborative model behind the partitions of RecEraser and GraphEraser: trained on the training rows alone."""

import tempfile
from pathlib import Path
from typing import Any

from recbole_apa.data.dataset import APADataset
from recbole_apa.data.presplit_files import Layout, write_presplit
from recbole_apa.partition import PARTITIONERS, Collaborative
from recbole_apa.pipeline.recbole_models import NAME, train_embeddings


def collaborative_model(partition: str, dataset: APADataset, source: Path, seed: int) -> Collaborative:
    """The inputs of the named partition.

    Args:
        dataset: the training part of an :class:`~recbole_apa.data.dataset.APADataset`.
        source: the folder of its files.
    """
    samples = dataset.samples
    model = PARTITIONERS.find(partition).collaborative_model
    users: dict[str, Any] = {}
    items: dict[str, Any] = {}
    if model:
        with tempfile.TemporaryDirectory(prefix="recbole-apa-") as name:
            layout = Layout.of(dataset.config)
            write_presplit(Path(name), NAME, {"train": samples, "valid": [], "test": []}, source, layout)
            users, items = train_embeddings(model, Path(name), seed, layout)
    return Collaborative(
        {s.sample_id: s.user_id for s in samples}, {s.sample_id: s.item_id for s in samples}, users, items
    )
