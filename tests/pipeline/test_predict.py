"""Single predictions of a finished run."""

import shutil

import pytest
import torch

from recbole_apa import evaluate_run, predict, predict_pairs, unlearn
from recbole_apa.cli.main import main
from recbole_apa.core.errors import APAError, RequestError
from recbole_apa.data.prompts import PromptInput


@pytest.fixture
def last_rows(finished):
    """Each user's last row: (user, item, row)."""
    part = finished.data.train_set
    rows, windows = part.interactions, part.windows
    last = {rows.users[int(row)]: int(row) for row in windows.order}
    return [(user, rows.items[row], row) for user, row in last.items()]


def test_a_prediction_for_the_last_item_is_that_of_its_sample(finished, last_rows):
    samples = {(s.user_id, s.item_id): s for part in finished.data for s in part._dataset.samples}
    pairs = [(user, item) for user, item, _ in last_rows if (user, item) in samples]
    assert pairs, "no sample is anybody's last row"
    found = predict_pairs(finished, pairs)
    part, model = finished.data.train_set, finished.model
    prompts = model.engine.encode(part.prompt_inputs([samples[pair] for pair in pairs]))
    weights = model.weights(prompts)
    expected = model.aggregate(prompts, weights)
    torch.testing.assert_close(torch.tensor([p.model_score for p in found]), expected.cpu())
    torch.testing.assert_close(torch.tensor([p.weights for p in found]), weights.float().cpu(), check_dtype=False)
    assert [(p.user, p.item) for p in found] == pairs
    assert [p.n_history for p in found] == [len(samples[pair].history) for pair in pairs]
    assert all(0 < p.score < 1 for p in found)


def test_what_is_known_of_user_and_item_is_said(finished):
    part = finished.data.train_set
    rows = part.interactions
    user, item = rows.users[0], rows.items[0]
    known = predict(finished, user, item)
    n_user, n_item = rows.users.texts().count(user), rows.items.texts().count(item)
    assert (known.n_user_interactions, known.n_item_interactions) == (n_user - 1, n_item)
    assert known.n_history == min(n_user - 1, part.settings.history_length)
    stranger = predict(finished, "nobody", item)
    assert (stranger.n_history, stranger.n_user_interactions, stranger.n_item_interactions) == (0, 0, n_item)
    assert known.user_known and not stranger.user_known
    text = part.item_texts[part.field2token_id[part.iid_field][item]]
    prompts = finished.model.engine.encode([PromptInput((), text)])
    alone = finished.model.aggregate(prompts, finished.model.weights(prompts))
    assert stranger.model_score == pytest.approx(float(alone[0]), abs=1e-6)


@pytest.mark.slow
def test_a_user_whose_one_interaction_is_with_the_item_is_not_unknown(finished, tmp_path, capsys):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    rows = finished.data.train_set.interactions
    first, *others = (rows.items[n] for n in range(len(rows)) if rows.users[n] == "u3")
    unlearn(folder, interactions=[("u3", item) for item in others])
    found = predict(folder, "u3", first)
    assert found.user_known and (found.n_history, found.n_user_interactions) == (0, 0)
    # what is served differs: the item's mean leaves the user's own row out
    stranger = predict(folder, "nobody", first)
    assert (found.model_score, found.weights) == (pytest.approx(stranger.model_score, abs=1e-6), stranger.weights)
    capsys.readouterr()
    assert main([f"--run={folder}", f"--predict=u3:{first}"]) == 0
    out = capsys.readouterr().out
    assert "no other interactions of the user" in out and "unknown user" not in out


def test_what_fills_recboles_tables_is_no_item(finished):
    with pytest.raises(RequestError, match="'\\[PAD\\]'"):
        predict(finished, "u1", "[PAD]")


def test_an_item_that_is_not_there_is_named(finished):
    with pytest.raises(RequestError, match=r"1 item.*'no such item'"):
        predict(finished, "u1", "no such item")
    assert predict_pairs(finished, []) == []


def test_a_folder_gives_what_the_open_run_gives(finished, last_rows):
    pairs = [(user, item) for user, item, _ in last_rows[:3]]
    expected = predict_pairs(finished, pairs)
    assert predict_pairs(finished.run_dir, pairs) == expected
    opened = evaluate_run(finished.run_dir, {"variants": "none"})  # as the documentation has it
    assert predict_pairs(opened, pairs) == expected


@pytest.mark.slow
def test_a_forgotten_user_is_a_stranger(finished, tmp_path):
    run = shutil.copytree(finished.run_dir, tmp_path / "run")
    item = finished.data.train_set.interactions.items[0]
    assert predict(run, "u3", item).n_history > 0
    unlearn(run, users=["u3"])
    after, stranger = predict_pairs(run, [("u3", item), ("nobody", item)])
    assert after.n_history == after.n_user_interactions == 0
    assert (after.score, after.weights) == (stranger.score, stranger.weights)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(APAError):
        predict(tmp_path / "nothing", "u1", "i1")
