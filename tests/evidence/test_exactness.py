"""What "exact" means is said in one place; and no centre outlives what it was a mean of."""

import re

import pytest
import torch

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.cli.usage import usage
from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.evidence import key_ring
from recbole_apa.evidence.exactness import DEFINITIONS, IN_ORDER, LEVELS, PARTS, definition, level_of
from recbole_apa.partition import Partition
from recbole_apa.runs.ledger import Ledger, manifest_digest
from recbole_apa.runs.ledger_lines import DONE
from recbole_apa.runs.store import MANIFEST, RunStore
from recbole_apa.unlearning.certificate import meaning
from recbole_apa.unlearning.plan import plan_text
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run

PAGE = ROOT / "docs" / "exactness.md"


def test_the_page_says_what_the_constants_say():
    text = PAGE.read_text()
    assert re.findall(r"^- `(\w+)`: (.+)$", text.split("| part")[0], re.M) == list(DEFINITIONS.items())
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in re.findall(r"^\|.+\|$", text, re.M)]
    assert rows[0] == ("part of a run", *LEVELS)
    assert {name: kinds for name, *kinds in rows[2:]} == {name: list(kinds) for name, kinds in PARTS.items()}
    assert f"the lines of `inherited` and `strict` end with *{IN_ORDER}*" in " ".join(text.split())


def test_help_and_certificate_quote_them():
    words = " ".join(usage("recbole-apa").split())
    for level, text in DEFINITIONS.items():
        assert f"--exactness={level} {text}" in words and f"The state is {text}." in meaning(level, False, False)


def test_a_grown_run_s_lines_say_so_and_those_of_fresh_do_not():
    for level in ("inherited", "strict"):
        text = meaning(level, True, False)
        assert f"The state is {DEFINITIONS[level]}, {IN_ORDER}." in text
        assert IN_ORDER not in meaning(level, False, False)
        assert "from its start or, where only samples changed that had been added" in text
    for level in LEVELS:
        assert definition(level, False) == DEFINITIONS[level]
    assert definition(None, False) == "" and definition(None, True) == f"training {IN_ORDER}"


@pytest.mark.parametrize("is_comparable", [True, False])
@pytest.mark.parametrize("is_grown", [True, False])
def test_a_certificate_of_slices_does_not_say_that_adapters_were_trained_from_their_start(is_grown, is_comparable):
    assert "on what remains, from its start, or from the restart point" in meaning(
        "inherited", is_grown, True, is_comparable
    )
    assert "on what remains, from its start. " in meaning("inherited", False, False, is_comparable)


@pytest.mark.quick("strict")
@pytest.mark.parametrize("level", LEVELS)
def test_plan_quotes_them(level, finished):
    plan = unlearn(finished, users=["u3"], exactness=level, dry_run=True).plan
    assert plan_text(plan).startswith(f"exactness: {level}, {DEFINITIONS[level]}\n")


@pytest.mark.slow
def test_the_command_line_knows_fresh(finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    assert main([f"--run={folder}", "--forget_users=u3", "--exactness=fresh"]) == 0
    assert DEFINITIONS["fresh"] in capsys.readouterr().out
    assert main([f"--run={folder}", "--audit", "--verify"]) == 0
    assert f"from scratch means here: {DEFINITIONS['fresh']}" in capsys.readouterr().out
    assert main([f"--run={folder}", "--forget_users=u4", "--exactness=frsh"]) == 2
    assert "found 'frsh', expected inherited, strict or fresh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("manifest", "level"),
    [
        ({}, None),
        ({"partition_of": "inherited"}, "inherited"),
        ({"partition_of": "this data"}, "strict"),
        ({"partition_of": "this data", "draw_of": "inherited"}, "strict"),
        ({"partition_of": "inherited", "draw_of": "inherited"}, "inherited"),
        ({"partition_of": "this data", "draw_of": "this data"}, "fresh"),
    ],
)
def test_a_state_is_of_the_level_that_its_last_request_left(manifest, level):
    assert level_of(manifest) == level


@pytest.fixture
def single(options, tmp_path):
    """One sample in each shard."""
    given = {**options, "epochs": 1, "train_samples": 6, "n_shards": 6, "weight_rule": "semantic"}
    return run("APA", "board", config_dict=given, run_dir=tmp_path / "run")


def own_embedding(made, sample):
    part = made.data[0]._dataset
    return made.trainer.train_embeddings[part.samples.index(sample)]


@pytest.mark.slow
def test_no_centre_is_the_embedding_of_a_forgotten_sample(single):
    gone = single.data[0]._dataset.samples[0]
    embedding, folder = own_embedding(single, gone), single.run_dir
    before = RunStore(folder).load_partition()
    assert any(torch.equal(c, embedding) for c in before.centres)  # with one sample a shard, it is
    kept = {s.sample_id: own_embedding(single, s) for s in single.data[0]._dataset.samples[1:]}

    unlearn(folder, interactions=[(gone.user_id, gone.item_id)])

    after, left = RunStore(folder).load_partition(), RunStore(folder).load_embeddings()
    assert not any(torch.allclose(c, embedding, atol=1e-4) for c in after.centres)
    mean = torch.stack([left[i] for i in range(len(left))]).mean(0)
    for shard in range(6):
        names = after.members(shard)
        expected = left[sorted(after.shard_of).index(names[0])] if names else mean
        assert torch.equal(after.centres[shard], expected)
    assert after.shard_of == {name: k for name, k in before.shard_of.items() if name in kept}
    audited, verified = audit(folder), verify(folder)
    assert audited.findings == audited.notices == [] and verified.differences == []


def sealed(folder, **changes):
    """Change a run as a version of this package would that made it so: manifest and ledger say the same."""
    manifest = read_json(folder / MANIFEST)
    manifest["files"]["partition.safetensors"] = file_digest(folder / "partition.safetensors")
    manifest |= {name: value for name, value in changes.items() if value is not None}
    RunStore(folder).write_manifest({k: v for k, v in manifest.items() if changes.get(k, v) is not None})
    ledger = Ledger(folder, manifest["salt"])
    last = ledger.entries()[-1].content
    done = {name: last[name] for name in ("requests", "certificates", "key")}
    ledger.append(DONE, {**done, "manifest": manifest_digest(done, RunStore(folder), key_ring())})


@pytest.mark.slow
def test_centres_that_were_taken_over_are_found(single):
    """A state as it was before: the assignment inherited, and the centres with it."""
    gone = single.data[0]._dataset.samples[0]
    folder, old = single.run_dir, RunStore(single.run_dir).load_partition()
    unlearn(folder, interactions=[(gone.user_id, gone.item_id)])
    RunStore(folder).save_partition(Partition(RunStore(folder).load_partition().shard_of, old.centres))
    sealed(folder)
    stale = "partition.json: its shards' centres are not the means of the samples that remain in them"
    assert stale in audit(folder).findings
    assert "partition.safetensors differs" in verify(folder).differences

    sealed(folder, centres_of=None)
    audited = audit(folder)
    assert stale not in audited.findings and verify(folder).differences == []
    assert [n for n in audited.notices if n.startswith("partition.safetensors keeps the centres")]
    other = single.data[0]._dataset.samples[1]
    unlearn(folder, interactions=[(other.user_id, other.item_id)])
    after = RunStore(folder).load_partition().centres
    assert audit(folder).findings == audit(folder).notices == []
    for sample in (gone, other):
        assert not any(torch.allclose(c, own_embedding(single, sample), atol=1e-4) for c in after)
