"""Which samples are drawn of the datasets that people know: row for row what commit 86d8546 drew.

That was before the reader, the filters and the splits were ours.
"""

import hashlib

import pytest
import torch
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.places import ROOT
from tests.helpers.split_options import ML_100K

REAL = ROOT.parent / "shared" / "data"
# case -> digests of all samples, of the content, and of RecBole's tensors, as commit 86d8546 gave them
DIGESTS = {
    "default": ("eec7a5a5329921d7", "d791c794790bba5b", "2cd1c5acc3b306d5"),
    "tallrec": ("b67850b49e63b1fe", "d791c794790bba5b", "f8ce0104d453aa3e"),
    "leave one out": ("86ea0bac2dd11e81", "d791c794790bba5b", "153c32f48d34c896"),
    "random": ("a2b75ef6b7ec22a5", "d791c794790bba5b", "3c7564ebf7d6d2d2"),
    "by time": ("25f4492268b27121", "d791c794790bba5b", "31fbc93097725f9f"),
    "filtered": ("fce597e5617f651a", "fe35f665fed0f49e", "a73136c6ff4ff94f"),
}
REAL_DATA = {
    "ml-1m": ("85d68f070fee232a", "d70f8c5297e20189", "d799d138e1a4fe3f"),
    "book-crossing": ("4cee9ada1739415e", "bf45aa5222335b57", "9cc2ca01ed2ae4b9"),
}


def digests(dataset, options):
    config = APAConfig("APA", dataset, config_dict=options)
    init_seed(config["seed"], True)
    parts = make_dataset(config).build()
    samples, tensors = hashlib.sha256(), hashlib.sha256()
    for part in parts:
        samples.update("".join(s.digest() for s in part.samples).encode())
        # that commit's rows had their own number, too
        numbered = {**part.inter_feat.interaction, "sample_index": torch.arange(len(part.samples))}
        for field in sorted(numbered):
            tensors.update(numbered[field].numpy().tobytes())
    return samples.hexdigest()[:16], parts[0].old_digest[:16], tensors.hexdigest()[:16]


@pytest.mark.quick(1)
@pytest.mark.parametrize("case", DIGESTS)
def test_samples_of_ml_100k_are_what_they_were(case, tmp_path):
    assert digests("ml-100k", {**ML_100K[case], "checkpoint_dir": str(tmp_path)}) == DIGESTS[case]


@pytest.mark.realdata
@pytest.mark.parametrize("dataset", REAL_DATA)
def test_samples_of_real_data_are_what_they_were(dataset, tmp_path):
    if not (REAL / dataset).is_dir():
        pytest.skip(f"{REAL} is not there")
    options = {"data_path": str(REAL), "checkpoint_dir": str(tmp_path)}
    assert digests(dataset, options) == REAL_DATA[dataset]
