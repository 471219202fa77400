"""What a forgetting comparison asks to forget, and the prompts that models are compared on before and after."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recbole_apa.adapters.aggregation import cosine
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.loaders import Loaders
from recbole_apa.pipeline.build import RunResult
from recbole_apa.unlearning.approximate.unlearner import Part
from recbole_apa.unlearning.stage import data_left

WHO = ("random", "core", "edge")
N_NEIGHBOURS = 5
"""Retained samples nearest to each forgotten one."""
MOST_RETAINED = 300
"""At most this many retained samples are used to judge models."""
RequestArguments = dict[str, list[Any]]
"""Arguments of :func:`~recbole_apa.unlearn`: ``users``, ``items`` or ``interactions``."""


@dataclass(frozen=True)
class ForgetRequest:
    """Training data that a comparison asks to forget: one of ``ratio``, ``n_interactions``, ``users_ratio``,
    ``n_users``, ``items``, ``items_with``."""

    ratio: float = 0.0
    """Share of the training samples' targets, drawn by hash."""
    n_interactions: int = 0
    """Number of the training samples' targets."""
    users_ratio: float = 0.0
    """Share of the training users, with all of their interactions."""
    n_users: int = 0
    """Number of training users."""
    who: str = "random"
    """Which users: ``random``, the most active (``core``) or the least active (``edge``)."""
    items: tuple[str, ...] = ()
    """Whole items, by token."""
    items_with: str = ""
    """``column=word``: all items whose column contains the word, e.g. ``class=Horror``, a sensitive category."""
    one_by_one: bool = False
    """A stream: each interaction, user or item is a separate request, carried out before the next one arrives."""

    def __post_init__(self) -> None:
        numbers = (self.ratio, self.n_interactions, self.users_ratio, self.n_users)
        given = [*(n > 0 for n in numbers), bool(self.items), bool(self.items_with)]
        if sum(given) != 1 or min(numbers) < 0 or not self.ratio < 1 or not self.users_ratio < 1:
            raise SettingsError(
                f"found forget_ratio {self.ratio:g}, forget_n_interactions {self.n_interactions}, forget_users_ratio "
                f"{self.users_ratio:g}, forget_n_users {self.n_users}, {len(self.items)} forget_items, "
                f"forget_items_with {self.items_with!r}; expected exactly one of them, the shares above 0 and below 1"
            )
        if self.who not in WHO:
            raise SettingsError(f"forget_who: found {self.who!r}, expected one of {', '.join(WHO)}")
        if self.items_with and "=" not in self.items_with:
            raise SettingsError(f"forget_items_with: found {self.items_with!r}, expected column=word")

    def draw(self, dataset: APADataset, seed: int) -> RequestArguments:
        """The arguments for :func:`~recbole_apa.unlearn`: at least one user, item or interaction.

        Args:
            dataset: the training part.

        Raises:
            SettingsError: not fewer samples or users to forget than the training has.
        """
        samples = dataset.samples
        if self.items_with:
            return {"items": dataset.items_with(*self.items_with.split("=", 1))}
        if self.items:
            return {"items": list(self.items)}
        if self.ratio or self.n_interactions:
            ids = [s.sample_id for s in samples]
            chosen = hash_order(ids, seed, "forget")[: _how_many(self.n_interactions, self.ratio, len(ids), "samples")]
            return {"interactions": [(samples[i].user_id, samples[i].item_id) for i in chosen]}
        counts: dict[str, int] = {}
        for sample in samples:
            counts[sample.user_id] = counts.get(sample.user_id, 0) + 1
        users = sorted(counts)
        order = [users[i] for i in hash_order(users, seed, "forget users")]
        if self.who != "random":
            order.sort(key=lambda user: counts[user], reverse=self.who == "core")
        return {"users": order[: _how_many(self.n_users, self.users_ratio, len(users), "users")]}

    def requests(self, asked: RequestArguments) -> list[RequestArguments]:
        """What was drawn, as requests: one for all of it, or one each."""
        if not self.one_by_one:
            return [asked]
        return [{kind: [thing]} for kind, things in asked.items() for thing in things]


def _how_many(number: int, share: float, total: int, what: str) -> int:
    if number >= total:
        raise SettingsError(f"found {number} {what} to forget, expected fewer than the training's {total}")
    return number or max(1, round(share * total))


@dataclass(frozen=True)
class Step:
    """One request, with the prompts as they are when it arrives: ``forget``, ``retain``, ``valid``."""

    asked: RequestArguments
    parts: Mapping[str, Part]


@dataclass(frozen=True)
class ForgetTask:
    """What to forget, request by request, and the prompts, by part, that models are judged on after the last request:
    ``forget`` (training samples as they were before being dropped or rewritten), ``retain`` (training samples that
    remain, at most 300), ``neighbours`` (remaining samples nearest to a forgotten one), ``test``."""

    asked: RequestArguments
    steps: list[Step]
    judged: Mapping[str, Part]


def open_task(made: RunResult, valid: APADataset, request: ForgetRequest, seed: int) -> ForgetTask:
    """Draw the request, and collect the prompts as they are before it.

    Args:
        made: a trained run that has forgotten nothing yet.
        valid: the validation part of the dataset; samples that the request changes are left out.

    Raises:
        RequestError: no training sample is affected.
    """
    asked = request.draw(made.data.train_set, seed)
    found = next(_steps(made, valid, [asked]), None)
    if found is None:
        raise RequestError("what is to be forgotten affects no training sample; request more")
    whole, left = found
    requests = request.requests(asked)
    steps = [step for step, _ in _steps(made, valid, requests)] if len(requests) > 1 else [whole]
    forget, retain = whole.parts["forget"], whole.parts["retain"]
    judged = {
        "forget": forget,
        "retain": retain.some(hash_order(retain.ids, seed, "judged")[:MOST_RETAINED]),
        "neighbours": _nearest(made, forget, retain),
        "test": Part.of(left.test_set, made.model),
    }
    return ForgetTask(asked, steps, judged)


def _steps(made: RunResult, valid: APADataset, requests: Sequence[RequestArguments]) -> Iterator[tuple[Step, Loaders]]:
    """Each request that affects a training sample, after the ones before it, and the data that it leaves."""
    now, gone = made.data, dict[str, list[Any]]()
    for asked in requests:
        gone = {kind: [*gone.get(kind, []), *things] for kind, things in asked.items()}
        left = data_left(made, **gone)
        old, new = now.train_set, left.train_set
        digests = {s.sample_id: s.digest() for s in new.samples}
        affected = [i for i, s in enumerate(old.samples) if digests.get(s.sample_id) != s.digest()]
        if affected:
            parts = {
                "forget": Part.of(old, made.model).some(affected),
                "retain": Part.of(new, made.model),
                "valid": Part.untouched(valid, made.model, new.visible_data),
            }
            yield Step(asked, parts), left
        now = left


def _nearest(made: RunResult, forget: Part, retain: Part) -> Part:
    """Retained samples that are among the nearest to a forgotten one, by the frozen model's embedding."""
    engine = made.model.engine
    similarity = cosine(engine.embeddings(forget.prompts), engine.embeddings(retain.prompts))
    rows = torch.unique(similarity.topk(min(N_NEIGHBOURS, len(retain)), dim=1).indices).tolist()
    return retain.some(rows)
