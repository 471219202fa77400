"""Experiments: options of a comparison in a file."""

import pytest

from recbole_apa import APAConfig
from recbole_apa.cli.main import main
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import ADAPTERS, GROUPS, row_names
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.properties import properties_folder
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS as APPROXIMATE


def test_every_experiment_names_rows_and_options_that_exist():
    files = sorted((properties_folder() / "experiments").glob("*.yaml"))
    assert len(files) >= 4
    for path in files:
        kept = read_preset(path.stem)
        assert path.read_text().startswith("#") and f"--experiment={path.stem}" in path.read_text()
        config = APAConfig("APA", "ml-100k", None, dict(kept.options))
        assert config["train_samples"] == (64 if kept.forget else 1024) and kept.seeds == 3
        for name in row_names(kept.names):
            known = name in ADAPTERS or name in GROUPS["rules"] or name.startswith("APA:")
            assert known or (kept.forget and name in APPROXIMATE)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("seeds: many", "seeds: found 'many', expected a whole number"),
        ("seeds: 2.5", "seeds: found 2.5"),
        ("seeds: yes", "seeds: found True"),
        ("slices: 'no'", "slices: found 'no', expected true or false"),
        ("options: [epochs]", r"options: found \['epochs'\], expected a mapping"),
        ("forget: users", "forget: found 'users', expected a mapping"),
        ("forget: {users_ratio: 0.05}\nslices: true", "slices does not go with a comparison of forgetting"),
        ("baseline_data: 3", "baseline_data: found 3, expected all, shown or drawn"),
    ],
)
def test_values_that_do_not_fit_are_named(given, says, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"compare: [rules]\n{given}\n")
    with pytest.raises(SettingsError, match=says):
        read_preset(str(tmp_path / "mine.yaml"))


def test_keys_without_a_value_have_the_default(tmp_path):
    (tmp_path / "mine.yaml").write_text("compare: [rules]\nseeds:\noptions:\nbaseline_data:\nslices:\n")
    kept = read_preset(str(tmp_path / "mine.yaml"))
    assert (kept.seeds, kept.options, kept.baseline_data, kept.slices) == (1, {}, "all", False)


@pytest.mark.slow
def test_an_experiment_runs_from_the_command_line(options, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("compare: [rules]\noptions: {epochs: 1}\n")
    given = [f"--{k}={v}" for k, v in options.items() if k != "epochs"]
    where = [f"--experiment={tmp_path / 'mine.yaml'}", f"--compare_dir={tmp_path / 'out'}"]
    assert main(["--model=APA", "--dataset=board", *given, *where]) == 0
    out = capsys.readouterr().out
    assert "HistoryLikeRate+ItemMean" in out and "Retraining, another seed" in out
    (tmp_path / "mine.yaml").write_text("compair: [rules]\n")
    assert main(["--model=APA", *where]) == 2
    assert "did you mean 'compare'?" in capsys.readouterr().err
    assert main(["--model=APA", "--experiment=tabel1"]) == 2
    assert "partition, shard_size, table1, weights" in capsys.readouterr().err
