"""What a training reads of 40 datasets drawn at random: what commit 7e4edc5 read, where RecBole's dataset held all rows
and did the work itself.
"""

import hashlib
import json
import random

import pytest
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.chance_data import drawn_by_chance, more_options, request_by_chance, write

BEFORE = {"evidence_samples": 0}
KEPT = "6298f6b9e93f07e02595f3be6e3d24198f229e35a332c62609e42ca3b4f3aa35"


def told(config, visible_data):
    """Everything that the parts say, as JSON holds it."""
    init_seed(config["seed"], True)
    try:
        parts = make_dataset(config, visible_data).build()
    except DataError as error:
        return type(error).__name__
    part, raw, rows = parts[0], parts[0].raw_interactions, parts[0].interactions
    return {
        "samples": [[s.digest() for s in p.samples] for p in parts],
        "tensors": [{f: p.labelled[f].tolist() for f in sorted(p.labelled.interaction)} for p in parts],
        "names": [part.field2id_token[field].tolist() for field in ("user_id", "item_id")],
        "texts": list(part.item_texts),
        "digest": part.digest(b"secret").hex(),
        "cutoffs": part.cutoffs,
        "train_rows": list(part.train_rows),
        "raw": [list(raw.users), list(raw.items), raw.labels.tolist(), raw.values.tolist()],
        "rows": rows.row_ids(part.windows.order),
    }


@pytest.mark.slow
def test_what_is_read_of_datasets_drawn_at_random_is_what_it_was(options, tmp_path):
    found = hashlib.sha256()
    n_told = 0
    for seed in range(40):
        chance, folder = random.Random(seed), tmp_path / str(seed)
        rows, items, changes = drawn_by_chance(chance)
        if seed % 3 == 0:
            changes = more_options(chance, changes)
        visible_data, _ = request_by_chance(chance, rows, "timestamp" in changes["load_col"]["inter"])
        write(folder, rows, items)
        users = [f"u{k}\t{chance.choice((18, 25, 38))}" for k in range(9) if chance.random() < 0.8]
        (folder / "some" / "some.user").write_text("\n".join(["user_id:token\tage:float", *users]) + "\n")
        config = APAConfig("APA", "some", config_dict={**options, **changes, "data_path": str(folder), **BEFORE})
        for seen in (None, visible_data):
            made = told(config, seen)
            n_told += isinstance(made, dict)
            found.update(json.dumps(made, sort_keys=True).encode())
    assert n_told > 25
    assert found.hexdigest() == KEPT
