"""What a plan says of a run that has grown, and the data of ``fresh`` on its added rows."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.exactness import DEFINITIONS, IN_ORDER
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.unlearning.plan import Affected, Plan, settle_meaning
from recbole_apa.unlearning.redraw import data_anew


def test_where_no_later_piece_is_left_plans_do_not_say_so():
    plan, pieces = Plan(2, [Affected("a", "train", "dropped", ""), Affected("b", "train", "rewritten", "")]), {"a": 1}
    settle_meaning(plan, "strict", pieces)
    assert (plan.exactness, plan.means) == ("strict", DEFINITIONS["strict"])
    settle_meaning(plan, "strict", {**pieces, "b": 2})
    assert plan.means == f"{DEFINITIONS['strict']}, {IN_ORDER}"


def test_split_and_draw_are_made_anew_of_added_rows_too(finished, options, tmp_path):
    """The rows of the last user are in the index, and in no file."""
    part = finished.data.train_set
    rows, n_added = part.run_data.index_rows(), 16
    folder = Path(shutil.copytree(Path(options["data_path"]) / "board", tmp_path / "board"))
    lines = (folder / "board.inter").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "board.inter").write_text("".join(lines[:-n_added]), encoding="utf-8")
    rows = replace(rows, since=np.repeat([0, 1], [len(rows) - n_added, n_added]))
    additions = (Addition(n_added, 0, 1, 1),)
    names = {split: frozenset(s.sample_id for s in samples) for split, samples in part.splits.items()}
    config = APAConfig("APA", "board", config_dict={**options, "data_path": str(tmp_path)})
    seen = VisibleData(roles=names, cutoffs=part.cutoffs)
    grown = build_data(config, seen, indexed=IndexedRows(rows, (), additions)).train_set
    assert grown.run_data.pieces
    anew = data_anew(grown).train_set
    assert anew.splits == part.splits and anew.cutoffs == part.cutoffs
    assert anew.run_data.pieces == {} and [a.piece for a in anew.run_data.additions] == [0]
