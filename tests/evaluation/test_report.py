import numpy as np

from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.report.figures import attention_weights, sample_map
from recbole_apa.evaluation.report.run_table import text_table, variants, verdict


def test_report_opens_without_a_network(finished):
    page = (finished.run_dir / "report.html").read_text()
    assert "plotly" in page and len(page) > 1_000_000  # the drawing library is inside
    head = page.split("<script>")[0] + page.split("</script>")[-1]
    assert "http://" not in head and "https://" not in head and "src=" not in head
    for caption in ("Samples in each shard", "coloured by shard", "Training loss", "Attention weight", "ROC"):
        assert caption in page
    assert "HistoryLikeRate" in page


def test_figures_hold_no_ids(finished):
    users = {s.user_id for s in finished.data[0]._dataset.samples}
    for path in (finished.run_dir / "figures").glob("*.json"):
        assert not any(f'"{u}' in path.read_text() for u in users)
    losses = read_json(finished.run_dir / "figures" / "training_losses.json")
    assert [len(v) for v in losses.values()] == [6, 6, 6]  # 10 samples, batches of 4, 2 epochs


def test_table_lists_every_variant_once(finished):
    table = text_table(finished.metrics)
    assert len(variants(finished.metrics)) == 3 + 3 + 2 + 2
    for title in ("adapter 000 alone", "APA(D)", "APA(ND)", "averaged predictions", "HistoryLikeRate+ItemMean"):
        assert table.count(title) == 1
    assert f"{finished.metrics['test.aggregated.decomposition.auc']:.4f}" in table


def test_verdict_says_which_way_it_went():
    def says(gain, low):
        figures = {"test.aggregated.decomposition.auc": 0.7, "test.rules.HistoryLikeRate.auc": 0.7 - gain}
        figures |= {
            f"test.aggregated.decomposition.auc_gain{e}": v for e, v in (("", gain), ("_low", low), ("_high", 0.2))
        }
        return verdict(figures, "decomposition")

    assert says(0.1, 0.05).startswith("APA beats")
    assert "not significantly" in says(0.01, -0.05)
    assert says(-0.01, -0.05).startswith("APA does not beat")
    assert "no AUC" in verdict({}, "decomposition")


def test_drawings_of_small_runs():
    assert len(sample_map(np.ones((1, 3)), [0])["x"]) == 1
    drawn = attention_weights(np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]))
    assert drawn["mean"] == [0.6, 0.4] and drawn["first_place_share"] == [0.66667, 0.33333]
    assert attention_weights(np.full((2, 4), 0.25))["first_place_share"] == [0.25] * 4
