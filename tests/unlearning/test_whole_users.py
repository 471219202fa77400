"""With ``partition: semantic_user`` a person's requests touch one shard, and what is left is what training without the
person gives."""

import pytest

from recbole_apa import audit, run, unlearn, verify
from tests.helpers.runs import copy_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(options, tmp_path_factory, work_folder):
    given = {**options, "partition": "semantic_user", "n_shards": 3, "train_samples": None, "epochs": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        return run("APA", "board", config_dict=given, run_dir=tmp_path_factory.mktemp("whole") / "run")


def shards_of(made):
    """User -> shards with the user's samples."""
    found = {}
    shard_of = made.trainer.store.load_partition().shard_of
    for sample in made.data.train_set.samples:
        found.setdefault(sample.user_id, set()).add(shard_of[sample.sample_id])
    return found


def planned(made, **asked):
    return set(unlearn(made.run_dir, dry_run=True, **asked).plan.shards)


def test_every_request_of_a_person_touches_one_shard(whole):
    shards = shards_of(whole)
    assert len(shards) > 3 and len(set().union(*shards.values())) > 1
    for user, own in shards.items():
        assert len(own) == 1
        rows = [s for s in whole.data.train_set.samples if s.user_id == user]
        first = rows[0].history[0].interaction_id.split(":")[:2]  # it is in the histories of all the user's samples
        assert planned(whole, users=[user]) == own
        assert planned(whole, interactions=[tuple(first)]) == own


def test_a_request_leaves_what_training_without_the_person_gives(whole, tmp_path):
    folder = copy_run(whole, tmp_path / "run")
    assert len(unlearn(folder, users=["u3"]).outcomes[0].plan.shards) == 1
    assert audit(folder).holds and verify(folder).holds
