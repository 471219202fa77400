"""``--run=DIR --predict=USER:ITEM``: whether a user will like an item."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from recbole_apa.cli.arguments import names_in
from recbole_apa.cli.fields import predictions_fields
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import PredictOptions
from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole_apa.pipeline.predictions import Prediction

_HEAD = ("user", "item", "probability", "history", "")


def is_asked(asked: PredictOptions, something_else: bool) -> bool:
    """Whether the options ask for predictions.

    Args:
        something_else: whether they also ask to forget, to prove or to copy.

    Raises:
        SettingsError: they ask for both.
    """
    if asked.predict is None:
        return False
    if something_else:
        raise SettingsError("--predict does not go with a request, a proof or a copy; give one command for each")
    return True


def serve(folder: str, asked: PredictOptions, changes: Mapping[str, object], out: Output) -> int:
    """Predict, and tell the results.

    Returns:
        the exit status.

    Raises:
        SettingsError: a pair that is not USER:ITEM.
        RequestError: an item that the dataset does not have.
    """
    pairs = [_pair(word) for word in names_in(asked.predict)]
    if not pairs:
        raise SettingsError("--predict: found nothing after it; expected USER:ITEM, several separated by commas")
    from recbole_apa.pipeline.predictions import predict_pairs

    found = predict_pairs(folder, pairs, changes)
    out.tell(_table(found), predictions=lambda: predictions_fields(found))
    return 0


def _pair(word: str) -> tuple[str, str]:
    user, _, item = word.strip().partition(":")
    if not user or not item or ":" in item:
        raise SettingsError(
            f"--predict: found {word[:60]!r}, expected USER:ITEM, e.g. 12:50; for names that contain colons or commas "
            "use recbole_apa.predict"
        )
    return user, item


def _table(found: "Sequence[Prediction]") -> str:
    rows = [[p.user, p.item, f"{p.score:.4f}", f"{p.n_history} of {p.n_user_interactions}", _remark(p)] for p in found]
    return tabulate(rows, _HEAD, disable_numparse=True)


def _remark(p: "Prediction") -> str:
    remarks = []
    if not p.user_known:
        remarks.append("unknown user: judged by the item alone")
    elif not p.n_user_interactions:
        remarks.append("no other interactions of the user: judged by the item alone")
    if not p.n_item_interactions:
        remarks.append("cold item: no interactions")
    return "; ".join(remarks)
