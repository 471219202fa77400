"""What ``evidence: auto`` stands for, and where collaborative statistics are refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from recbole_apa import APAConfig, audit, run, unlearn, verify
from recbole_apa.collaborative import NOTHING, Source, Targets, TermOptions
from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.tokens import Tokens
from recbole_apa.pipeline.idle_options import idle_options
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.runs.collaborative_files import load_sums
from recbole_apa.runs.names import COLLABORATIVE_SUMS
from recbole_apa.runs.store import RunStore
from tests.helpers.unseen import unseen_rows

CANNOT = [
    ({"eval_args.mode": "uni10", "metrics": ["NDCG"], "topk": [5]}, "eval_args.mode asks for rankings"),
    ({"benchmark_filename": ["train", "valid", "test"]}, "files that are already split"),
    ({"alias_of_item_id": ["other"]}, "has no index"),
    ({"valid_samples": 0}, "valid_samples is 0"),
]


def settled(options, **changes):
    config = APAConfig("APA", "board", None, {**options, **changes})
    return config["evidence"], config["evidence_columns"]


def test_labelled_rows_have_them_by_default(options):
    assert settled(options) == settled(options, evidence="counts") == ("counts", None)
    assert settled(options, evidence="none") == ("none", None)


@pytest.mark.parametrize("changes, why", CANNOT, ids=["ranking", "presplit", "aliases", "no validation"])
def test_where_they_cannot_be_auto_means_none_and_counts_is_refused(options, changes, why):
    assert settled(options, **changes)[0] == "none"
    assert settled(options, **changes, evidence="auto")[0] == "none"
    with pytest.raises(SettingsError, match=f"evidence: found counts, expected none or auto: .*{why}"):
        settled(options, **changes, evidence="counts")


@pytest.mark.parametrize(
    "given, says",
    [
        ({"evidence": "all"}, "evidence: found 'all', expected one of auto, counts, none"),
        ({"evidence_columns": []}, r"evidence_columns: found \[\]"),
        ({"evidence_columns": ["a", "b", "c"]}, "a column of words and, after it, one of years"),
        ({"evidence_columns": 3}, "evidence_columns: found 3"),
    ],
)
def test_other_values_are_refused(options, given, says):
    with pytest.raises(SettingsError, match=says):
        settled(options, **given)


def test_a_datasets_own_columns_are_left_out_where_others_are_read():
    def columns(**changes):
        return APAConfig("APA", "ml-100k", None, changes)["evidence_columns"]

    assert columns() == ["class", "release_year"]
    few = {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "movie_title", "release_year"]}
    assert columns(load_col=few) is None
    assert columns(load_col=few, evidence_columns=["class"]) == ["class"]  # refused when the file is read


def test_columns_without_statistics_are_said_to_do_nothing(options):
    for evidence, idle in (("counts", False), ("none", True)):
        idlers = {"evidence_columns": ["title"], "evidence_past": "shown", "evidence_values": "ratings"}
        idlers |= {"evidence_fit": "merged"}
        idlers |= {"evidence_content": "states", "evidence_samples": 7}
        for name, value in idlers.items():
            config = APAConfig("APA", "board", None, {**options, "evidence": evidence, name: value})
            assert (name in idle_options(config)) == idle
        config = APAConfig("APA", "board", None, {**options, "evidence": evidence, "evidence_text": "{title}"})
        assert "evidence_text" in idle_options(config)  # of states, which are not looked at
        config = APAConfig("APA", "ml-100k", None, {"evidence": evidence})
        assert "evidence_columns" not in idle_options(config)
        assert config["evidence_columns"] == ["class", "release_year"]


@pytest.mark.slow
@pytest.mark.parametrize("past", ["all", "shown"])
def test_a_run_looks_at_the_whole_past_or_at_what_its_prompts_show(past, options, tmp_path):
    few = {"train_samples": 8, "valid_samples": 6, "test_samples": 6, "MAX_ITEM_LIST_LENGTH": 2, "n_shards": 2}
    given = {**options, **few, "epochs": 1, "variants": "chosen", "evidence_past": past}
    made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    settings, fitted = made.store.manifest()["settings"], made.trainer.combined.fitted
    assert settings.get("evidence_past", "all") == past and ("evidence_past" in settings) == (past == "shown")
    assert fitted.options.past == (2 if past == "shown" else 0)
    data = made.data.train_set.run_data
    pasts = Targets.of([data], "test", fitted.statistics.codes).pasts
    assert (pasts.lengths > 2).any()
    samples = sorted(made.data.test_set.samples, key=lambda s: s.sample_id)
    codes = fitted.statistics.codes.of(Tokens.of([entry.item_id for s in samples for entry in s.history]))
    assert pasts.last(2).past_items.tolist() == codes.tolist()  # what prompts show
    terms = Source.of(data, TermOptions(), codes=fitted.statistics.codes)
    expected = terms.table(pasts.last(2) if past == "shown" else pasts)
    assert fitted.table(pasts, NOTHING).tolist() == expected.tolist()
    drawn = [sample for part in data.samples.values() for sample in part]
    used = {s.sample_id for s in drawn} | {entry.interaction_id for s in drawn for entry in s.history}
    free = next(n for n in np.flatnonzero(data.notes.roles == 0).tolist() if data.rows.row_id(n) not in used)
    for asked in ({"interactions": [(data.rows.users[free], data.rows.items[free])]}, {"users": ["u3"]}):
        unlearn(made.run_dir, **asked)
        assert verify(made.run_dir).holds and audit(made.run_dir).findings == []


@pytest.mark.slow
def test_ratings_are_summed_up_and_subtracted(options, tmp_path):
    """Item sums are of the file's own ratings; a request leaves those of the others, which the check counts itself."""
    given = {**options, "train_samples": 8, "valid_samples": 6, "test_samples": 6, "n_shards": 2, "epochs": 1}
    made = run("APA", "board", config_dict={**given, "evidence_values": "ratings"}, run_dir=tmp_path / "run")
    assert made.store.manifest()["settings"]["evidence_values"] == "ratings"
    rows = counted_ratings(made.data.train_set.run_data)
    row = unseen_rows(made)[0]
    requests = ({}, {"interactions": [row]}, {"users": ["u3"]})
    for asked in requests:
        if asked:
            done = unlearn(made.run_dir, **asked).outcomes[0]
            assert done.statistics.how == ("subtracted" if "interactions" in asked else "counted anew")
            assert done.statistics.items_compared > 0 and done.certificates
            rows = [(user, *of) for user, *of in rows if user != "u3" or "users" not in asked]
            rows = [(user, item, rating) for user, item, rating in rows if (user, item) != row[:2]]
        sums = load_sums(RunStore(made.run_dir))
        expected = {}
        for _, item, rating in rows:
            expected[item] = expected.get(item, 0) + 1024 * rating
        assert sorted(sums["items.values"].tolist()) == sorted(expected.values())
        assert verify(made.run_dir).holds and audit(made.run_dir).findings == []
    forged = {**sums, "items.values": sums["items.values"] + 1024}
    save_file(forged, made.run_dir / COLLABORATIVE_SUMS)
    assert audit(made.run_dir).findings


def counted_ratings(data):
    """User, item and rating of the rows of the training period."""
    counted = np.flatnonzero(data.notes.roles == 0).tolist()
    return [(data.rows.users[n], data.rows.items[n], round(float(data.rows.values[n]))) for n in counted]


def test_a_column_that_is_not_there_is_refused_before_anything_is_written(options, tmp_path):
    with pytest.raises(DataError, match="the items have no column genre"):
        run("APA", "board", config_dict={**options, "evidence_columns": ["genre"]}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").rglob("*.json"))


def test_the_papers_protocol_and_experiments_are_without():
    assert APAConfig("APA", "ml-100k", None, {"protocol": "tallrec"})["evidence"] == "none"
    assert APAConfig("APA", "ml-100k", None, {})["evidence"] == "counts"
    for path in sorted((properties_folder() / "experiments").glob("*.yaml")):
        assert read_yaml(path)["options"]["evidence"] == "none", path


def test_a_manifest_without_the_options_means_none(finished):
    manifest = finished.store.manifest()
    assert (manifest["settings"]["evidence"], manifest["options"]["evidence"]) == ("counts", "counts")
    old = {name: value for name, value in manifest["options"].items() if not name.startswith("evidence")}
    told = options_of({**manifest, "options": old}, "there")
    assert (told["evidence"], told["evidence_columns"], told["evidence_past"]) == ("none", None, "all")
