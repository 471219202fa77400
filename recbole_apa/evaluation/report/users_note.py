"""What a table's intervals are of, in words."""

from recbole_apa.evaluation.metrics import FEWEST_CLUSTERS, FEWEST_FOR_UAUC


def users_note(n_samples: int, n_users: int, n_both: int | None, by_users: bool) -> str:
    """How many users the samples belong to, and what that means for intervals and UAUC.

    Args:
        n_samples: labelled samples, or lists.
        n_both: users with both labels; None for lists.
        by_users: whether intervals resample users, else rows.
    """
    says = f"{n_samples} lists of {n_users} users"
    if n_both is not None:
        says = f"{n_samples} test samples of {n_users} users, {n_both} of them with both labels"
    says += f"; intervals resample {'users (cluster bootstrap)' if by_users else 'rows'}."
    if too_few(n_users, by_users):
        says += f" Fewer than {FEWEST_CLUSTERS} users: these intervals are too narrow."
    if n_both is not None and n_both < FEWEST_FOR_UAUC:
        says += f" UAUC, the mean AUC within users, needs {FEWEST_FOR_UAUC} users with both labels."
    return says


def too_few(n_users: int, by_users: bool) -> bool:
    """Whether a percentile interval over so few users is too narrow."""
    return by_users and n_users < FEWEST_CLUSTERS
