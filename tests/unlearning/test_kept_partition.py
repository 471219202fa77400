"""A request that changes no training sample leaves the partition, which depends on these alone, as it is."""

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.evidence.exactness import EARLIER, THIS_DATA
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.kept_partition import keeps_partition
from tests.helpers.runs import copy_run, state
from tests.helpers.unseen import unseen_rows

PARTS = ("partition.json", "partition.safetensors")


def partition(folder):
    return {name: (folder / name).read_bytes() for name in PARTS}


def of(folder):
    return RunStore(folder).manifest()["partition_of"]


@pytest.mark.slow
def test_a_row_in_no_sample_leaves_the_partition(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    before = partition(folder)
    assert not unlearn(folder, interactions=[unseen_rows(finished)[0]]).plan.affected
    assert partition(folder) == before and of(folder) == THIS_DATA
    # equal to a partition computed from nothing
    verified, audited = verify(folder), audit(folder)
    assert verified.holds and audited.holds, (verified.differences, audited.findings)
    unlearn(folder, users=["u3"])
    assert of(folder) == EARLIER and partition(folder) != before


@pytest.mark.slow
def test_the_order_of_requests_does_not_matter(finished, tmp_path):
    one, other, together = (copy_run(finished, tmp_path / name) for name in ("one", "other", "together"))
    row = unseen_rows(finished)[0]
    for folder, first, second in (
        (one, {"interactions": [row]}, {"users": ["u3"]}),
        (other, {"users": ["u3"]}, {"interactions": [row]}),
    ):
        unlearn(folder, **first)
        unlearn(folder, **second)
    unlearn(together, users=["u3"], interactions=[row])
    assert state(one) == state(other) == state(together)
    assert of(one) == of(other) == of(together) == EARLIER


class Said:
    """A run's records, with some entries of the manifest replaced."""

    def __init__(self, made, **entries):
        self.made, self.entries = made, entries

    def manifest(self):
        return {**self.made.store.manifest(), **self.entries}

    def lineage(self):
        return self.made.store.lineage()


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        ({}, True),
        ({"forgotten": 1, "partition_of": EARLIER, "centres_of": THIS_DATA}, True),
        # an older version kept the centres of what it forgot
        ({"forgotten": ["1f"], "partition_of": EARLIER}, False),
        ({"forgotten": ["1f"]}, False),
        ({"forgotten": 1}, False),
    ],
)
def test_centres_that_may_contain_what_was_forgotten_do_not_stay(entries, kept, finished):
    samples = finished.data.train_set.samples
    assert keeps_partition(Said(finished, **entries), samples) == kept
    assert not keeps_partition(Said(finished, **entries), samples[1:])


@pytest.mark.slow
def test_a_partition_of_more_than_the_samples_is_not_kept(options, tmp_path):
    made = run("APA", "board", config_dict={**options, "epochs": 1, "partition_fit": "items"}, run_dir=tmp_path / "run")
    unlearn(tmp_path / "run", interactions=[unseen_rows(made)[0]])
    assert of(tmp_path / "run") == EARLIER
    assert verify(tmp_path / "run").holds
