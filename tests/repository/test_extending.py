"""The examples of docs/extending.md, run as a newcomer would: one file each, nothing of ours edited."""

import shutil
import sys
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_apa import audit, compare, compare_forgetting, evaluate_run, run, unlearn, verify
from recbole_apa.adapters import ADAPTER_KINDS, LoRA, read_adapter, register_adapter_kind
from recbole_apa.backbone import FAMILIES
from recbole_apa.cli.main import main
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.core.errors import BackboneError, MissingPluginError, PartitionError, SettingsError
from recbole_apa.partition import PARTITIONERS, Partition, register_partition
from recbole_apa.pipeline.plugins import import_plugins
from recbole_apa.runs.store import RunStore
from tests.helpers.partitions import partition_class
from tests.helpers.peft_scores import assert_peft_agrees
from tests.helpers.plugins import PAGE, files_of


@pytest.mark.slow
def test_a_partition_is_one_file(plugin, options, tmp_path, monkeypatch, capsys):
    given = {**options, "plugins": [plugin("my_partition")], "partition": "by_norm", "shard_capacity": 12}
    made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    length = made.trainer.train_embeddings.norm(dim=1)
    shards = [made.trainer.partition.shard_of[s.sample_id] for s in made.data[0]._dataset.samples]
    assert [shards[i] for i in length.argsort()] == sorted(shards) and len(set(shards)) == 3
    assert "plugins" not in (tmp_path / "run" / "manifest.json").read_text()
    PARTITIONERS.remove("by_norm")
    del sys.modules["my_partition"]
    says = (
        r"partition: found 'by_norm', expected one of semantic, semantic_user, random"
        r".*was trained with my_partition.*--plugins=\[my"
    )
    for use in (evaluate_run, audit, verify, lambda folder: unlearn(folder, users=["u3"])):
        with pytest.raises(MissingPluginError, match=says):
            use(tmp_path / "run")
    assert "my_partition" not in sys.modules
    again = evaluate_run(tmp_path / "run", {"plugins": ["my_partition"]})
    assert again.metrics["test.aggregated.decomposition.auc"] == made.metrics["test.aggregated.decomposition.auc"]
    unlearn(tmp_path / "run", users=["u3"], exactness="strict")
    assert verify(tmp_path / "run").holds
    assert RunStore(tmp_path / "run").manifest()["registered_by"] == {"partition": "my_partition"}
    monkeypatch.setattr(PARTITIONERS["by_norm"], "__call__", lambda self, *rest: PARTITIONERS["random"]()(*rest))
    changed = verify(tmp_path / "run")
    assert not changed.holds and "the run uses my_partition, of which no copy is kept" in changed.plugins
    assert main([f"--run={tmp_path / 'run'}", "--verify"]) == 1 and changed.plugins in capsys.readouterr().out


@pytest.mark.slow
def test_a_weight_rule_is_one_file_and_both_are_rows_of_a_comparison(plugin, options, tmp_path):
    given = {**options, "plugins": [plugin("my_partition"), plugin("my_weight_rule")]}
    names = ["APA:weight_rule=nearest_centre", "APA:partition=by_norm"]
    found = compare(names, "board", config_dict=given, folder=tmp_path / "compared")
    rows = {row.method: row for row in found.rows}
    assert all(rows[name].status == "done" for name in names), [row.reason for row in found.rows]
    assert rows[names[0]].scores != rows["APA(D)"].scores


def test_a_rule_that_needs_no_memory_gets_no_similarities(plugin):
    from recbole_apa.adapters.aggregation import Memory
    from recbole_apa.adapters.weight_rules import WeightRule

    import_plugins(plugin("my_weight_rule"))
    memory = Memory(torch.empty(0, 2), torch.empty(0, 3), torch.empty(0), torch.empty(0, dtype=torch.int64))
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    rule = WeightRule("nearest_centre", memory, centres, torch.tensor([True, True, False]), 1.0, 1)
    assert rule(torch.tensor([[0.1, 1.0], [-1.0, -0.5]])).tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.slow
def test_a_bad_partition_is_refused_before_anything_is_written_and_its_repair_resumes(options, tmp_path):
    mode = {"shards": float}

    def divide(self, ids, embeddings, n_shards, *rest):
        shard_of = {name: mode["shards"](i % n_shards) for i, name in enumerate(sorted(ids))}
        return Partition(shard_of, torch.zeros(n_shards, embeddings.shape[1]))

    register_partition(partition_class(__call__=divide))
    try:
        given = {**options, "partition": "mine"}
        with pytest.raises(PartitionError, match=r"partition mine puts sample .* in shard 0.0; expected a whole"):
            run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
        assert not list((tmp_path / "run").rglob("partition.*"))
        mode["shards"] = np.int64
        made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
        assert {type(k) for k in made.trainer.partition.shard_of.values()} == {int}
        assert evaluate_run(tmp_path / "run").trainer.partition.sizes() == made.trainer.partition.sizes()
    finally:
        PARTITIONERS.remove("mine")


@pytest.mark.slow
def test_measures_and_an_approximate_method_are_one_file_each(plugin, options, tmp_path):
    given = {**options, "plugins": [plugin(n) for n in ("my_measure", "my_score_measure", "my_method")]}
    asked = ForgetRequest(users_ratio=0.2)
    names = ["Sparing", "Sparing:strength=3"]
    found = compare_forgetting(names, asked, "board", [], given, folder=tmp_path / "forgetting")
    rows = {row.method: row for row in found.rows}
    assert {row.status for row in found.rows} == {"done"}, [row.reason for row in found.rows]
    assert rows["Retraining"].figures["disagreement"] == 0 and "disagreement" in found.table
    assert rows["Sparing"].scores != rows["Sparing:strength=3"].scores
    compared = compare(["ItemMean", "Pop"], "board", [], given, folder=tmp_path / "compared")
    head, *lines = (tmp_path / "compared" / "table.md").read_text().splitlines()
    assert head.index("LogLoss") < head.index("Brier") < head.index("minus Retraining")
    brier = {row.method: row.figures.get("brier") for row in compared.rows}
    assert 0 < brier["ItemMean"] < 1 and brier["Pop"] is None  # Pop's scores are no probabilities
    table = list(takewhile(lambda line: line.startswith("|"), (head, *lines)))
    assert len(table) > 3 and len({line.count("|") for line in table}) == 1


@pytest.mark.slow
def test_a_request_is_carried_out_by_a_method_of_ones_own(plugin, options, finished, tmp_path):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    with pytest.raises(SettingsError, match="unlearn_method: found 'Sparing', expected exact or one of GradAscent"):
        unlearn(tmp_path / "run", users=["u3"], method="Sparing")
    told = {"plugins": [plugin("my_method")]}
    done = unlearn(tmp_path / "run", users=["u3"], method="Sparing", config_dict=told)
    assert done.outcomes[0].method == "Sparing"


@pytest.mark.slow
def test_an_adapter_kind_is_one_file(plugin, options, tmp_path):
    given = {**options, "plugins": [plugin("my_adapter")], "adapter_type": "shift", "learning_rate": 0.1}
    made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    kept = read_adapter(tmp_path / "run" / "shards" / "001")
    assert kept and all(len(parts) == 1 and parts[0].ndim == 1 and parts[0].abs().max() > 0 for parts in kept.values())
    prompts = made.model.prompts(made.data[2]._dataset.labelled)
    alone, frozen = (made.model.engine.scores(prompts, w, "decomposition") for w in (torch.eye(3)[[1] * 20], None))
    assert not torch.allclose(alone, frozen, atol=1e-3)
    again = evaluate_run(tmp_path / "run", {"plugins": ["my_adapter"]})
    assert again.metrics["test.aggregated.decomposition.auc"] == made.metrics["test.aggregated.decomposition.auc"]
    unlearn(tmp_path / "run", users=["u3"])
    assert verify(tmp_path / "run").holds
    with pytest.raises(SettingsError, match="adapter_type: shift has no factors; use_rslora and lora_dropout need"):
        run("APA", "board", config_dict={**given, "use_rslora": True}, run_dir=tmp_path / "other")


@pytest.mark.slow
def test_a_kind_that_only_trains_otherwise_is_read_by_peft(options, backbone_folder, tmp_path):
    class OnlyB(LoRA):
        """LoRA-FA (Zhang et al., 2023): A stays as it was drawn."""

        name = "only_b"

        def parameter_groups(self, parameters, settings):
            return [{"params": parameters[1::2]}]

    register_adapter_kind(OnlyB)
    try:
        made = run("APA", "board", config_dict={**options, "adapter_type": "only_b"}, run_dir=tmp_path / "run")
        assert_peft_agrees(made, backbone_folder)
        start = made.model.engine.bank.start(made.config["seed"])
        kept = read_adapter(tmp_path / "run" / "shards" / "000")
        assert all(torch.equal(kept[n][0], start[n][0]) and kept[n][1].any() for n in start)
    finally:
        ADAPTER_KINDS.remove("only_b")


@pytest.fixture(scope="module")
def neox_folder(backbone_folder, tmp_path_factory):
    """A tiny random GPT-NeoX with the tokenizer of the others."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    folder = tmp_path_factory.mktemp("neox")
    torch.manual_seed(0)
    sizes = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    config = GPTNeoXConfig(**sizes, num_attention_heads=4, max_position_embeddings=512, initializer_range=0.3)
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    for file in backbone_folder.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


@pytest.mark.slow
def test_a_backbone_family_is_one_file(plugin, options, neox_folder, tmp_path):
    given = {**options, "backbone": str(neox_folder), "target_modules": ["query_key_value"], "trunk_layers": 2}
    with pytest.raises(BackboneError, match=r"no `layers` and `norm`; .* a family registered for 'gpt_neox'"):
        run("APA", "board", config_dict=given, run_dir=tmp_path / "none")
    given |= {"plugins": [plugin("my_family")]}
    made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    engine = made.model.engine
    prompts = made.model.prompts(made.data[2]._dataset.labelled)[:4]
    own = []
    for prompt in prompts:
        with engine.bank.mixed(torch.eye(3)[[1]], "non_decomposition"):
            z = engine.backbone.model(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
        own.append(torch.sigmoid(z[engine.encoder.answers.yes] - z[engine.encoder.answers.no]))
    found = engine.scores(prompts, torch.eye(3)[[1] * 4], "non_decomposition")
    torch.testing.assert_close(found, torch.stack(own), rtol=0, atol=1e-5)
    FAMILIES.remove("gpt_neox")
    del sys.modules["my_family"]
    with pytest.raises(MissingPluginError, match=r"the run's backbone is not known; .*trained with my_family"):
        evaluate_run(tmp_path / "run")


def test_every_example_of_the_page_was_run():
    text = Path(__file__).read_text(encoding="utf-8")
    assert len(files_of(PAGE)) == 7
    assert all(f'plugin("{name}")' in text or f'"{name}"' in text for name in files_of(PAGE))
