"""What a forgetting comparison asks to forget, and the prompts on which models are compared before and after."""

from dataclasses import dataclass
from typing import Any

import torch

from recbole_apa.adapters.attention import cosine
from recbole_apa.assembly import RunResult
from recbole_apa.errors import RequestError, SettingsError
from recbole_apa.seeding import hash_order
from recbole_apa.unlearning.approximate import Part
from recbole_apa.unlearning.session import data_left

WHO = ("random", "core", "edge")
N_NEIGHBOURS = 5
"""Retained samples nearest to each forgotten one."""


@dataclass(frozen=True)
class ForgetRequest:
    """Training data that a comparison asks to forget: one of ``ratio``, ``users_ratio``, ``items``, ``items_with``."""

    ratio: float = 0.0
    """Share of the training samples' targets, drawn by hash."""
    users_ratio: float = 0.0
    """Share of the training users, with all of their interactions."""
    who: str = "random"
    """Which users: ``random``, the most active (``core``) or the least active (``edge``)."""
    items: tuple[str, ...] = ()
    """Whole items, by token."""
    items_with: str = ""
    """``column=word``: all items whose column has the word, e.g. ``class=Horror``, a sensitive category."""

    def __post_init__(self) -> None:
        given = [self.ratio > 0, self.users_ratio > 0, bool(self.items), bool(self.items_with)]
        if sum(given) != 1 or not 0 <= self.ratio < 1 or not 0 <= self.users_ratio < 1:
            raise SettingsError(
                f"found forget_ratio {self.ratio:g}, forget_users_ratio {self.users_ratio:g}, {len(self.items)} "
                f"forget_items, forget_items_with {self.items_with!r}; expected exactly one of them, the shares above "
                "0 and below 1"
            )
        if self.who not in WHO:
            raise SettingsError(f"forget_who: found {self.who!r}, expected one of {', '.join(WHO)}")
        if self.items_with and "=" not in self.items_with:
            raise SettingsError(f"forget_items_with: found {self.items_with!r}, expected column=word")

    def draw(self, dataset: Any, seed: int) -> dict[str, Any]:
        """What :func:`~recbole_apa.unlearn` is asked: at least one user, item or interaction.

        Args:
            dataset: the training part.
        """
        samples = dataset.samples
        if self.items_with:
            return {"items": dataset.items_with(*self.items_with.split("=", 1))}
        if self.items:
            return {"items": list(self.items)}
        if self.ratio:
            ids = [s.sample_id for s in samples]
            chosen = hash_order(ids, seed, "forget")[: max(1, round(self.ratio * len(ids)))]
            return {"interactions": [(samples[i].user_id, samples[i].item_id) for i in chosen]}
        counts: dict[str, int] = {}
        for sample in samples:
            counts[sample.user_id] = counts.get(sample.user_id, 0) + 1
        users = sorted(counts)
        order = [users[i] for i in hash_order(users, seed, "forget users")]
        if self.who != "random":
            order.sort(key=lambda user: counts[user], reverse=self.who == "core")
        return {"users": order[: max(1, round(self.users_ratio * len(users)))]}


@dataclass(frozen=True)
class ForgetTask:
    """Prompts by part: ``forget`` (training samples as they were, dropped or rewritten since), ``retain`` (all training
    samples that remain), ``neighbours`` (those nearest to a forgotten one), ``valid``, ``test``."""

    asked: dict[str, Any]
    parts: dict[str, Part]


def open_task(made: RunResult, valid: Any, request: ForgetRequest, seed: int) -> ForgetTask:
    """Draw the request, and gather prompts as they are before it.

    Args:
        made: a trained run whose data holds everything.
        valid: the validation part of the dataset; samples that the request changes are left out.

    Raises:
        RequestError: no training sample is affected.
    """
    before = _parts_of(made.data, made.model)
    asked = request.draw(made.data[0]._dataset, seed)
    left = data_left(made, **asked)
    made.model.use_dataset(left[0]._dataset)
    after = _parts_of(left, made.model)
    made.model.use_dataset(made.data[0]._dataset)
    digests = {s.sample_id: s.digest() for s in left[0]._dataset.samples}
    gone = [i for i, s in enumerate(made.data[0]._dataset.samples) if digests.get(s.sample_id) != s.digest()]
    if not gone:
        raise RequestError("what is to be forgotten affects no training sample; ask for more")
    forget, retain = before["train"].some(gone), after["train"]
    parts = {
        "forget": forget,
        "retain": retain,
        "neighbours": _nearest(made, forget, retain),
        "valid": Part.untouched(valid, made.model, left[0]._dataset.view),
        "test": after["test"],
    }
    return ForgetTask(asked, parts)


def _parts_of(data: tuple[Any, Any, Any], model: Any) -> dict[str, Part]:
    return {"train": Part.of(data[0]._dataset, model), "test": Part.of(data[2]._dataset, model)}


def _nearest(made: RunResult, forget: Part, retain: Part) -> Part:
    """Retained samples that are among the nearest of a forgotten one, by the frozen model's embedding."""
    engine = made.model.engine
    similarity = cosine(engine.embeddings(forget.prompts), engine.embeddings(retain.prompts))
    rows = torch.unique(similarity.topk(min(N_NEIGHBOURS, len(retain)), dim=1).indices).tolist()
    return retain.some(rows)
