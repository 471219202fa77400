"""A recommendation, and lists of them as a file: the same for runs of APA and of APANext."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral

from recbole_apa.core.errors import RequestError, SettingsError


@dataclass(frozen=True)
class Recommendation:
    """One item for one user."""

    user: str
    rank: int
    item: str
    text: str
    score: float
    """What is served. APA: the probability of a like. APANext: with evidence, log odds of a choice up to a constant of
    the user's; else the head's estimate."""
    terms: Mapping[str, float]
    """What each term adds to the log odds, above its mean over the items that were scored; none where the language
    model alone is served."""
    because: str | None
    """The text of the item of the user's past that counts of similar items speak for most (APANext with
    ``evidence: transitions``: the one that this item comes after most); None without evidence, or if none speaks for
    it."""


def refuse_count(name: str, value: object) -> None:
    """
    Raises:
        SettingsError: not a whole number of at least 1.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"{name}: found {value!r}, expected a whole number of at least 1")


def named_users(users: Iterable[object]) -> list[str]:
    """Users as the dataset's files name them; a whole number is written in digits.

    Raises:
        RequestError: a text in place of a list, or a user that is neither text nor a whole number.
    """
    if isinstance(users, (str, bytes)):
        raise RequestError(f"users: found the string {users!r}, expected a list, e.g. [{users!r}]")
    return [_name(user) for user in users]


def _name(user: object) -> str:
    if isinstance(user, str):
        return user
    if not isinstance(user, Integral) or isinstance(user, bool):
        raise RequestError(f"user: found {user!r}, expected a string or a whole number")
    return str(int(user))


def refuse_unknown_users(users: Sequence[str], known: Set[str]) -> None:
    """
    Raises:
        RequestError: some of them have no interaction.
    """
    unknown = [user for user in users if user not in known]
    if unknown:
        raise RequestError(
            f"{len(unknown)} of {len(users)} users have no interaction that the run knows, e.g. {unknown[0]!r}; "
            "expected users of the dataset who were not forgotten"
        )


def csv_of(found: Iterable[Recommendation]) -> bytes:
    """``user_id,rank,item_id,text,score``, UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["user_id", "rank", "item_id", "text", "score"])
    writer.writerows([r.user, r.rank, r.item, r.text, f"{r.score:.6f}"] for r in found)
    return text.getvalue().encode()
