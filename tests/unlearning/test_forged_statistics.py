"""Forged collaborative statistics are found by the proof that the documentation names, though their digests fit."""

import shutil

import pytest

from benchmarks.attacks import forged_tensors, tampering
from benchmarks.attacks.forged_statistics import AUDIT, FORGERIES, VERIFY, forged
from recbole_apa import audit, unlearn, verify
from recbole_apa.runs.names import COLLABORATIVE, COLLABORATIVE_SUMS
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import copy_run
from tests.helpers.unseen import unseen_rows

BY_AUDIT, BY_VERIFY = ([f for f in FORGERIES if f.found_by == proof] for proof in (AUDIT, VERIFY))


@pytest.mark.parametrize("forgery", BY_AUDIT, ids=lambda forgery: forgery.name)
def test_an_audit_finds_it(forgery, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    forged(folder, forgery)
    found = audit(folder).findings
    assert found and all(COLLABORATIVE in finding for finding in found), found


@pytest.mark.slow
@pytest.mark.parametrize("forgery", BY_VERIFY, ids=lambda forgery: forgery.name)
def test_only_a_verification_finds_it(forgery, finished, tmp_path):
    """What a model says of a sample is not known to an audit, which runs none."""
    folder = copy_run(finished, tmp_path / "run")
    forged(folder, forgery)
    assert audit(folder).holds
    assert any(difference.startswith(COLLABORATIVE) for difference in verify(folder).differences)


def test_sums_from_before_a_request_are_found(finished, tmp_path):
    """The rows of what was forgotten, added back."""
    folder, row = copy_run(finished, tmp_path / "run"), unseen_rows(finished)[0]
    unlearn(folder, interactions=[row])
    shutil.copy(finished.run_dir / COLLABORATIVE_SUMS, folder / COLLABORATIVE_SUMS)
    RunStore(folder).seal({})
    found = audit(folder).findings
    says = f"{COLLABORATIVE_SUMS} is not what the run's rows sum up to: items.n"
    assert any(finding.startswith(says) for finding in found), found


def test_files_of_whole_numbers_are_forged_as_well(finished, tmp_path):
    run = copy_run(finished, tmp_path / "plain" / "run")
    for path in run.rglob("*.safetensors"):
        if path.name != "sums.safetensors":
            path.unlink()

    def outcome(folder, places):
        for path in finished.run_dir.rglob("*.safetensors"):
            there = folder / path.relative_to(finished.run_dir)
            if not there.exists():
                shutil.copy(path, there)
        return tampering.outcome(folder, places)

    records = list(forged_tensors.forgeries(run, outcome))
    assert {record["how"] for record in records} >= {"half precision", "a row less", "empty", "a tensor less"}
    lost = [r for r in records if r["outcome"] not in (tampering.FOUND, tampering.REFUSED)]
    assert not lost and all(COLLABORATIVE in record["says"] for record in records), records
