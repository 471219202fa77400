"""Interactions that no sample shows."""


def unseen_rows(made):
    """As a request names them: (user, item, time), or (user, item) without times."""
    dataset = made.data.train_set
    shown = {name for part in dataset.splits.values() for s in part for name in s.interaction_ids()}
    rows = dataset.raw_interactions
    ids = rows.row_ids(range(len(rows)))
    unseen = [i for i, name in enumerate(ids) if name not in shown]
    if rows.times is None:
        return [(rows.users[i], rows.items[i]) for i in unseen]
    return [(rows.users[i], rows.items[i], rows.times[i]) for i in unseen]
