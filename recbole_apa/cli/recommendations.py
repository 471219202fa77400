"""``--run=DIR --recommend=USER`` and ``--export_recommendations=FILE.csv``: the best items for users."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from recbole_apa.cli.arguments import Words, names_in, values_of
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import RecommendOptions
from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole_apa.pipeline.recommend_labelled import UserList
    from recbole_apa.pipeline.recommendation import Recommendation

K, USUAL_K = "k", 10


def is_asked(asked: RecommendOptions) -> bool:
    """Whether the options ask for recommendations.

    Raises:
        SettingsError: an option of recommendations without them, or no file to write them to.
    """
    wanted = asked.recommend is not None or asked.export_recommendations is not None
    if asked.export_recommendations is not None and not asked.export_recommendations.strip():
        raise SettingsError("--export_recommendations: found no value (an empty variable?); expected a file")
    if asked.candidates is not None and not wanted:
        raise SettingsError(
            "--candidates: expected together with --recommend=USER or --export_recommendations=FILE.csv"
        )
    return wanted


def taken_k(asked: RecommendOptions, words: Words) -> tuple[int, Words]:
    """How many items, and the other words.

    Raises:
        SettingsError: not a whole number above 0, or nothing is asked that it would count for.
    """
    rest = dict(words)
    value = values_of({K: rest.pop(K)})[K] if K in rest else USUAL_K
    if type(value) is not int or value < 1:
        raise SettingsError(f"--{K}: found {value!r}, expected a whole number of at least 1")
    if K in words and not is_asked(asked):
        raise SettingsError(f"--{K}: expected together with --recommend=USER or --export_recommendations=FILE.csv")
    return value, rest


def serve(folder: str, asked: RecommendOptions, k: int, changes: Mapping[str, object], out: Output) -> int:
    """Recommend, and tell the results.

    Returns:
        the exit status.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    from recbole_apa.next_item.run.recommend import export_recommendations

    if asked.recommend is not None:
        _recommend(folder, asked, k, changes, out)
    if asked.export_recommendations is not None:
        target = Path(asked.export_recommendations)
        n_users = export_recommendations(folder, target, k, changes, asked.candidates)
        out.tell(f"{n_users} users: {target}", export=lambda: {"file": str(target), "n_users": n_users})
    return 0


def _recommend(folder: str, asked: RecommendOptions, k: int, changes: Mapping[str, object], out: Output) -> None:
    from recbole_apa.next_item.run.recommend import recommend_many
    from recbole_apa.next_item.run.store import is_next_item_run
    from recbole_apa.pipeline.recommend_labelled import recommend_users

    users = [name.strip() for name in names_in(asked.recommend)]
    if not users:
        raise SettingsError("--recommend: found nothing after it; expected a user, or several separated by commas")
    lists: list[UserList] = []
    if is_next_item_run(folder):
        found = [one for of_user in recommend_many(folder, users, k, changes, asked.candidates) for one in of_user]
    else:
        lists = recommend_users(folder, users, k, changes, asked.candidates)
        found = [one for of_user in lists for one in of_user.best]
    out.tell(
        "\n".join([_table(found), *(of_user.cost() for of_user in lists)]),
        recommendations=lambda: recommendations_fields(found),
        recommendation_costs=lambda: costs_fields(lists),
    )


def recommendations_fields(found: Sequence["Recommendation"]) -> list[dict[str, object]]:
    """Recommendations."""
    names = ("user", "rank", "item", "text", "score", "because")
    return [{**{name: getattr(r, name) for name in names}, "terms": dict(r.terms)} for r in found]


def costs_fields(lists: Sequence["UserList"]) -> list[dict[str, object]]:
    """What finding them took; empty for a run of APANext."""
    return [{name: getattr(one, name) for name in ("user", "n_unseen", "n_read", "seconds")} for one in lists]


def _table(found: Sequence["Recommendation"]) -> str:
    """What each term adds stands in the order of its size."""
    rows = [[r.user, r.rank, r.item, r.text, f"{r.score:.3f}", _why(r)] for r in found]
    return tabulate(rows, ("user", "", "item", "title", "score", "why"), disable_numparse=True)


def _why(r: "Recommendation") -> str:
    terms = sorted(r.terms.items(), key=lambda term: -term[1])
    parts = [f"{name} {value:+.2f}" for name, value in terms]
    return ", ".join([*parts, *([f"because of {r.because}"] if r.because else [])])
