"""What a trained RecBole model says of further rows: candidates to rank, users in each other's place, RecBole's AUC."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_apa.data.loaders import dataset_of
from recbole_apa.pipeline.recbole_models import TrainedBaseline


@torch.no_grad()
def candidate_scores(trained: TrainedBaseline, rows: Sequence[int], items: Sequence[Sequence[str]]) -> np.ndarray:
    """Scores of items for users of test rows, list after list, (n * m,).

    Args:
        rows: rows of the test split, (n,): their user and history.
        items: the candidates of each, (n, m).
    """
    dataset = dataset_of(trained.loaders.test)
    trained.model.eval()
    scores: list[Tensor] = []
    for row, candidates in zip(rows, items, strict=True):
        asked = dataset.inter_feat[[row]].repeat(len(candidates))
        ids = dataset.token2id(dataset.iid_field, np.array(candidates))
        asked.update(Interaction({dataset.iid_field: torch.from_numpy(ids)}))
        found = trained.model.predict(dataset.join(asked).to(trained.trainer.device))
        scores.append(torch.as_tensor(found).flatten().float().cpu())
    out: np.ndarray = torch.cat(scores).numpy()
    return out


@torch.no_grad()
def users_unseen(trained: TrainedBaseline, rows: Sequence[int] | None = None) -> int | None:
    """How many test rows are of users that no training row has; None if scores do not depend on who the user is: they
    are the same if the users change places.

    Args:
        rows: of the test split; None for all.
    """
    data, known = dataset_of(trained.loaders.test), dataset_of(trained.loaders.train)
    asked, field, model = (
        data.inter_feat if rows is None else data.inter_feat[list(rows)],
        data.uid_field,
        trained.model,
    )
    others = Interaction({**asked.interaction, field: asked[field] % (data.user_num - 1) + 1})
    model.eval()
    found = [torch.as_tensor(model.predict(data.join(each).to(trained.trainer.device))) for each in (asked, others)]
    if torch.equal(*found):
        return None
    return int((~torch.isin(asked[field], known.inter_feat[known.uid_field])).sum())


def recbole_auc(trained: TrainedBaseline) -> float | None:
    """RecBole's own AUC on the test rows; None if all labels are the same."""
    result = trained.trainer.evaluate(trained.loaders[2], load_best_model=False, show_progress=False)
    value = float(result["auc"])
    return value if math.isfinite(value) else None
