"""A head in closed form: ridge regression of the targets on the states."""

import torch
from torch import Tensor

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.heads.grid import ONE
from recbole_apa.next_item.heads.sums import HeadSums


def solve_head(sums: HeadSums, ridge: float) -> Tensor:
    """W that minimises ``|XW - Y|^2 + ridge n |W|^2``, in which the intercept is not penalised.

    The same sums give the same bits on one kind of machine: one thread, float64, one Cholesky factorisation.

    Args:
        ridge: of each row, above 0; n is the number of rows.

    Returns:
        (m, d + 1), float64; zeros for a shard without rows.
    """
    if not sums.n_rows:
        return torch.zeros(sums.cross.shape, dtype=torch.float64)
    with one_thread():
        gram = sums.gram.double() / ONE**2
        gram.diagonal()[:-1] += ridge * sums.n_rows
        factor = torch.linalg.cholesky(gram)
        return torch.cholesky_solve(sums.cross.double().T / ONE, factor).T.contiguous()
