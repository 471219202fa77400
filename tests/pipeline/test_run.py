"""A whole run on the checkerboard with the tiny backbone."""

import json

import pytest
import torch

from recbole_apa import evaluate_run, run
from recbole_apa.adapters.peft_files import read_adapter
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.evaluation.evidence_figures import name_of
from tests.helpers.peft_scores import assert_peft_agrees


def adapters(folder):
    return {p.parent.name: p.read_bytes() for p in sorted(folder.glob("shards/*/adapter_model.safetensors"))}


def test_run_folder_holds_what_it_should(finished):
    found = {str(p.relative_to(finished.run_dir)) for p in finished.run_dir.rglob("*") if p.is_file()}
    expected = {"manifest.json", "partition.json", "partition.safetensors", "memory.safetensors", "lineage.json"}
    expected |= {"metrics.json", "report.html", "figures/roc_curves.json", "figures/sample_map.json"}
    expected |= {f"shards/00{k}/{n}" for k in range(3) for n in ("adapter_config.json", "adapter_model.safetensors")}
    assert expected <= found
    assert not [f for f in found if ".tmp" in f or f.endswith((".pkl", ".pth", ".pt", ".bin"))]


def test_metrics_hold_every_figure_of_the_table(finished):
    figures = json.loads((finished.run_dir / "metrics.json").read_text())
    assert figures == finished.metrics
    for split in ("valid", "test"):
        for variant in (
            "aggregated.decomposition",
            "aggregated.non_decomposition",
            "aggregated.prediction",
            "adapters.000",
            "rules.HistoryLikeRate",
            "rules.HistoryLikeRate+ItemMean",
        ):
            assert 0 <= figures[f"{split}.{variant}.auc"] <= 1
            assert figures[f"{split}.{variant}.logloss"] > 0
    assert figures["train_shards_seconds"] > 0 and figures["adapters_bytes"] > 0


def test_recboles_metrics_agree_with_ours(finished):
    m, served = finished.metrics, name_of(finished.trainer.combined.served, "aggregated.decomposition")
    assert m["recbole.test.auc"] == pytest.approx(m[f"test.{served}.auc"], abs=1e-4)
    assert m["recbole.test.logloss"] == pytest.approx(m[f"test.{served}.logloss"], abs=1e-3)
    assert m["recbole.valid.auc"] == pytest.approx(m[f"valid.{served}.auc"], abs=1e-4)
    direct = finished.trainer.evaluate(finished.data[2])
    assert direct["auc"] == m["recbole.test.auc"]


def test_lineage_lists_what_each_artefact_saw(finished):
    lineage = json.loads((finished.run_dir / "lineage.json").read_text())
    partition = json.loads((finished.run_dir / "partition.json").read_text())
    samples = {s.sample_id: s for s in finished.data[0]._dataset.samples}
    for k in range(3):
        assert set(lineage[f"shards/00{k}"]) == {name for name, shard in partition.items() if shard == k}
    assert lineage["partition.json"] == {name: s.digest() for name, s in samples.items()}
    assert set(lineage["memory.safetensors"]) == {s.sample_id for s in finished.data[1]._dataset.samples}


def test_loaded_run_gives_the_same_figures(finished):
    before = file_digest(finished.run_dir / "manifest.json")
    again = evaluate_run(finished.run_dir, {"data_path": finished.config.external_config_dict["data_path"]})
    scored = {k: v for k, v in finished.metrics.items() if k.startswith(("test.", "valid.", "recbole.test"))}
    assert scored == {k: v for k, v in again.metrics.items() if k in scored}
    assert file_digest(finished.run_dir / "manifest.json") == before


@pytest.mark.slow
def test_same_seed_same_bytes_and_other_seed_others(finished, options, tmp_path):
    same = run("APA", "board", config_dict=options, run_dir=tmp_path / "same")
    assert adapters(same.run_dir) == adapters(finished.run_dir)
    for name in ("memory.safetensors", "partition.json", "lineage.json"):
        assert file_digest(same.run_dir / name) == file_digest(finished.run_dir / name)
    other = run("APA", "board", config_dict={**options, "seed": 2}, run_dir=tmp_path / "other")
    assert set(adapters(other.run_dir).values()).isdisjoint(adapters(finished.run_dir).values())


@pytest.mark.quick(1)
@pytest.mark.parametrize("use_rslora", [False, True])
def test_peft_loads_an_adapter_and_gives_the_same_scores(use_rslora, finished, backbone_folder, options, tmp_path):
    if use_rslora:
        finished = run("APA", "board", config_dict={**options, "use_rslora": True}, run_dir=tmp_path / "run")
    assert_peft_agrees(finished, backbone_folder)


@pytest.mark.slow
def test_finished_shards_are_not_trained_again(finished, options, tmp_path, monkeypatch):
    folder = tmp_path / "interrupted"
    from recbole_apa.model.shard_trainer import ShardTrainer

    trained, fit = [], ShardTrainer.fit

    def stop_at_second(self, shard, *rest):
        if shard == 1 and len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(shard)
        return fit(self, shard, *rest)

    monkeypatch.setattr(ShardTrainer, "fit", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run("APA", "board", config_dict=options, run_dir=folder)
    with pytest.raises(RunError, match="training was interrupted; finish it with --run_dir"):
        evaluate_run(folder)
    monkeypatch.setattr(
        ShardTrainer, "fit", lambda self, shard, *rest: trained.append(shard) or fit(self, shard, *rest)
    )
    run("APA", "board", config_dict=options, run_dir=folder)
    assert trained == [0, 1, 2]
    assert adapters(folder) == adapters(finished.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("stopped_in", ["score_split", "write_report"])
def test_a_run_interrupted_while_evaluated_is_finished_without_training(
    stopped_in, finished, options, tmp_path, monkeypatch
):
    """Before its figures are written, and after ("holds a finished run", and no command helped)."""
    from recbole_apa.model.shard_trainer import ShardTrainer

    folder = tmp_path / "interrupted"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            f"recbole_apa.pipeline.evaluate.{stopped_in}", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        run("APA", "board", config_dict=options, run_dir=folder)
    monkeypatch.setattr(ShardTrainer, "fit", None)
    result = run("APA", "board", config_dict=options, run_dir=folder)
    assert (folder / "report.html").is_file()
    tested = {k: v for k, v in finished.metrics.items() if k.startswith("test.")}
    assert tested == {k: result.metrics[k] for k in tested}
    assert evaluate_run(folder, {"data_path": options["data_path"]}).metrics["test.n_samples"] == 12


def test_a_shard_depends_on_its_own_samples_alone(finished, options, tmp_path):
    """Train shard 2 by itself, from another state of the world: the same bytes."""
    from recbole_apa.model.shard_trainer import ShardTrainer

    model, loader = finished.model, finished.data[0]
    rule = model.rule
    torch.rand(17)
    model.engine.bank.resize(1)
    ids = finished.trainer.partition.members(2)
    batches = loader.shard(ids[::-1], options["train_batch_size"], options["seed"])
    factors, *_ = ShardTrainer(model, False).fit(2, 3, batches, lambda *a: None)
    saved = read_adapter(finished.run_dir / "shards" / "002")
    assert all(torch.equal(x, y) for n in saved for x, y in zip(saved[n], factors[n], strict=True))
    model.set_adapters([finished.trainer.store.load_shard(k)[0] for k in range(3)])
    model.rule = rule


def test_merged_factors_need_a_common_start(finished):
    """With starts of their own, adapters that each work alone are merged into something else."""
    engine, bank = finished.model.engine, finished.model.engine.bank
    name = next(iter(bank.layers))
    x = torch.randn(1, 3, bank.layers[name].base.in_features)
    w = torch.full((1, 3), 1 / 3)
    layer = bank.layers[name]
    gap = (layer.delta(x, w, "decomposition") - layer.delta(x, w, "non_decomposition")).norm()
    size = layer.delta(x, w, "non_decomposition").norm()
    own = engine.bank.extract(0)
    with torch.no_grad():
        for k in range(3):  # rotate each adapter's rank space: the update B A stays, the factors do not
            q, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(k)))
            layer.lora_A[k].copy_(q @ layer.lora_A[k])
            layer.lora_B[k].copy_(layer.lora_B[k] @ q.T)
    rotated = (layer.delta(x, w, "decomposition") - layer.delta(x, w, "non_decomposition")).norm()
    assert rotated > 2 * gap and rotated > 0.3 * size
    for k in range(3):
        bank.load(k, finished.trainer.store.load_shard(k)[0])
    assert torch.equal(own[name][0], bank.extract(0)[name][0])


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "change",
    [
        {"partition": "random"},
        {"aggregation": "non_decomposition", "weight_rule": "semantic"},
        {"aggregation": "prediction", "weight_rule": "major", "tau": 1000, "n_neighbors": 3},
        {"n_shards": 1, "weight_rule": "average"},
        {"n_shards": None, "shard_size": 8, "embedding": "final", "embedding_pooling": "mean"},
        {"template": "tallrec", "supervise": "target", "answer_loss": "full", "max_prompt_tokens": 460},
        {"trunk_layers": 0, "stopping_patience": 1, "lr_schedule": "cosine", "lora_dropout": 0.1},
        {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "labeled"}},
        {"train_samples": 5, "n_shards": 7},
        {"template": "custom", "prompt_template": {"frame": "Liked {liked}; not {disliked}. {target}:"}},
        {"target_modules": "q_proj", "device": "cpu", "use_gpu": False, "forward_batch_size": 3},
    ],
    ids=lambda change: ",".join(f"{k}={v}" for k, v in change.items())[:50],
)
def test_every_choice_runs_and_reloads(change, options, tmp_path):
    settings = {**options, "epochs": 1, **change}
    result = run("APA", "board", config_dict=settings, run_dir=tmp_path / "run")
    again = evaluate_run(tmp_path / "run", {"data_path": options["data_path"]})
    key = f"test.aggregated.{settings.get('aggregation', 'decomposition')}.logloss"
    assert again.metrics[key] == result.metrics[key]


@pytest.mark.slow
def test_timestamps_may_be_missing(options, tmp_path, caplog):
    columns = {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "title", "year"]}
    result = run("APA", "timeless", config_dict={**options, "load_col": columns, "epochs": 1}, run_dir=tmp_path / "r")
    assert "the order of rows is used instead" in caplog.text
    assert all(s.sample_id.count(":") == 1 for s in result.data[0]._dataset.samples)


@pytest.mark.slow
def test_quotation_marks_in_titles_are_only_text(options, tmp_path):
    """RecBole reads atomic files as quoted CSV: book-crossing could not be loaded."""
    from benchmarks.board import write_board

    write_board(tmp_path / "quoted", timestamps=True)
    path = tmp_path / "quoted" / "quoted.item"
    path.write_text(path.read_text().replace("Even Film 2\t", '"O" Is for Film 2\t'))
    made = run(
        "APA", "quoted", config_dict={**options, "data_path": str(tmp_path), "epochs": 1}, run_dir=tmp_path / "r"
    )
    assert '"O" Is for Film 2 (1982)' in made.model.item_texts


@pytest.mark.slow
def test_samples_are_exported_as_the_model_sees_them(finished, options, tmp_path):
    run(
        "APA",
        "board",
        config_dict={**options, "epochs": 1, "export_samples": str(tmp_path / "out")},
        run_dir=tmp_path / "r",
    )
    for name, loader in zip(("train", "valid", "test"), finished.data, strict=True):
        lines = [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        assert [x["sample_id"] for x in lines] == [s.sample_id for s in loader._dataset.samples]
        for line in lines:
            user, item = int(line["user_id"][1:]), int(line["item_id"][1:])
            assert line["label"] == int((user + item) % 2 == 0)
            assert line["target"] == f"{'Even' if item % 2 == 0 else 'Odd'} Film {item} ({1980 + item})"
            assert line["prompt"].endswith(line["target"] + ":")
            assert all(y == int((user + int(i[1:])) % 2 == 0) for i, _, y in line["history"])
            assert len(line["history"]) <= 4


@pytest.mark.slow
def test_test_labels_all_the_same_have_no_auc(options, data_folder, tmp_path):
    """RecBole gives NaN there, which JSON cannot hold."""
    from benchmarks.board import write_board

    write_board(tmp_path / "one", timestamps=True)
    path = tmp_path / "one" / "one.inter"
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    liked = [r[:2] + (["5"] if i and int(r[3]) % 1000 >= 14 else [r[2]]) + r[3:] for i, r in enumerate(rows)]
    path.write_text("\n".join("\t".join(r) for r in liked) + "\n")
    settings = {**options, "data_path": str(tmp_path), "epochs": 1}
    figures = run("APA", "one", config_dict=settings, run_dir=tmp_path / "run").metrics
    assert figures["test.yes_share"] == 1.0
    assert "test.aggregated.decomposition.auc" not in figures and "recbole.test.auc" not in figures
    assert figures["test.aggregated.decomposition.logloss"] > 0
    assert "no AUC" in (tmp_path / "run" / "report.html").read_text()


def test_histories_reach_back_over_the_splits(finished):
    test = finished.data[2]._dataset.samples
    trained = {s.sample_id for s in finished.data[0]._dataset.samples}
    assert all(len(s.history) == 4 for s in test)
    assert not trained & {s.sample_id for s in test}


@pytest.mark.slow
def test_long_prompts_are_cut_and_counted(options, tmp_path, caplog):
    caplog.set_level("INFO")
    settings = {**options, "epochs": 1, "max_prompt_tokens": 40}
    figures = run("APA", "board", config_dict=settings, run_dir=tmp_path / "run").metrics
    assert figures["prompts.n_cut_prompts"] > 0
    assert figures["prompts.n_cut_lines"] >= figures["prompts.n_cut_prompts"]
    assert "of their oldest lines to fit 40 tokens" in caplog.text
