"""Train adapters, each on its shard, independently of the other shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from recbole.data.interaction import Interaction
from torch import Tensor
from tqdm import tqdm

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.moments import Moments, moments_of, restore_moments
from recbole_apa.adapters.training import AdapterCourse, ShardHistory, train_adapter, train_together
from recbole_apa.core.places import FIRST, Place
from recbole_apa.core.progress import progress
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.dataloader import Batches
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import Log


class Start(NamedTuple):
    """Where the training of a place starts."""

    factors: Factors | None = None
    """The adapter to continue from; None takes the common initial factors."""
    moments: Moments | None = None
    """The optimiser's, to continue with; None starts with new ones."""


NEW = Start()


class Trained(NamedTuple):
    """What the training of a place leaves."""

    factors: Factors
    history: ShardHistory
    moments: Moments | None = None
    """The optimiser's; None if the adapter was not trained but updated."""


class ShardTrainer:
    """Trains adapters one at a time, or several in one batch.

    Args:
        model: the model, whose bank is overwritten.
    """

    def __init__(self, model: APA, show_progress: bool) -> None:
        self.model = model
        self.settings = model.settings
        self.show_progress = show_progress

    def fit(
        self,
        shard: int,
        n_shards: int,
        batches: Batches,
        log: Log,
        start: Start = NEW,
        place: Place = FIRST,
    ) -> Trained:
        """Train one adapter on one place of its shard. Warm-up, decay and stopping rule are the place's own.

        Args:
            start: what to continue from.
            place: of the shard, that is trained.
        """
        bank = self.model.engine.bank
        bank.resize(1)
        bank.load(0, start.factors or bank.start(self.settings.seed))
        bank.train(True)
        groups = bank.kind.parameter_groups
        course = AdapterCourse(bank.parameters(), len(batches), self.settings.training, shard, groups, place)
        if start.moments:
            restore_moments(course.optimizer, course.parameters, start.moments, list(bank.layers))
        n_steps = self.settings.training.epochs * len(batches)
        title = ", ".join(filter(None, (f"Train shard {shard + 1}/{n_shards}", place.text())))
        bar = progress(None, title, self.show_progress, total=n_steps)
        try:
            with self._repeatable():
                epochs = _epochs(batches, place)
                history = train_adapter(course, epochs, self.model.calculate_loss, self.settings.seed, _shown(bar, log))
        finally:
            bar.close()
            bank.train(False)
        history.machine = self._machine()
        return self._trained(0, course)

    def fit_together(
        self,
        shards: Sequence[int],
        n_shards: int,
        batches: Sequence[Batches],
        log: Log,
        starts: Sequence[Start] | None = None,
        places: Sequence[Place] | None = None,
    ) -> list[Trained]:
        """Train several shards, one batch of each in one pass, every sample with its own shard's adapter. The same as
        :meth:`fit` for each, within rounding.

        Args:
            starts: for each shard as in :meth:`fit`; None takes the common initial factors for all.
            places: likewise; None trains the first place of all.
        """
        bank, settings = self.model.engine.bank, self.settings
        starts, places = starts or [Start()] * len(shards), places or [FIRST] * len(shards)
        bank.resize(len(shards))
        for i in range(len(shards)):
            bank.load(i, starts[i].factors or bank.start(settings.seed))
        bank.train(True)
        groups = bank.kind.parameter_groups
        courses = [
            AdapterCourse(bank.parameters_of(i), len(batches[i]), settings.training, shard, groups, places[i])
            for i, shard in enumerate(shards)
        ]
        for course, start in zip(courses, starts, strict=True):
            if start.moments:
                restore_moments(course.optimizer, course.parameters, start.moments, list(bank.layers))

        def losses_of(batch: Mapping[int, Interaction]) -> Mapping[int, Tensor]:
            bank.zero_grad()
            return dict(zip(batch, self.model.losses_of_shards(batch), strict=True))

        def gather() -> None:
            for i, course in enumerate(courses):
                for own, stacked in zip(course.parameters, bank.parameters(), strict=True):
                    own.grad = None if stacked.grad is None else stacked.grad[i]

        title = f"Train shards {', '.join(str(k + 1) for k in shards)} of {n_shards}"
        n_steps = settings.training.epochs * sum(len(b) for b in batches)
        bar = progress(None, title, self.show_progress, total=n_steps)
        try:
            with self._repeatable():
                epochs = [_epochs(batches[i], places[i]) for i in range(len(shards))]
                histories = train_together(courses, epochs, losses_of, gather, _shown(bar, log))
        finally:
            bar.close()
            bank.train(False)
        for history in histories:
            history.machine = self._machine()
        return [self._trained(i, course) for i, course in enumerate(courses)]

    def _trained(self, index: int, course: AdapterCourse) -> Trained:
        factors = self.model.engine.bank.extract(index)
        return Trained(factors, course.history, moments_of(course.optimizer, course.parameters, factors))

    def _repeatable(self) -> AbstractContextManager[None]:
        return repeatable(self.model.engine.decoder.device, self.model.reproducible)

    def _machine(self) -> dict[str, str]:
        return machine_kind(self.model.engine.decoder.device).plain()


def _epochs(batches: Batches, place: Place) -> Callable[[int], Iterator[Interaction]]:
    """Epoch -> its batches, in the order of a place."""
    return lambda epoch: batches.epoch(epoch, place)


def _shown(bar: tqdm, log: Log) -> Callable[[AdapterCourse, float], None]:
    """Advances the bar and logs the loss."""

    def on_step(course: AdapterCourse, loss: float) -> None:
        bar.update()
        bar.set_postfix_str(f"epoch {course.epoch + 1}, loss {loss:.4f}")
        named = "".join(f"/{name}" for name in _folders(course.place))
        log(f"Loss/Train/shard_{course.shard:03d}{named}", loss, course.step - 1)

    return on_step


def _folders(place: Place) -> list[str]:
    """A place in the names of logged losses, e.g. ``piece_01``."""
    named = [f"piece_{place.piece:02d}"] * bool(place.piece)
    return named + [f"slice_{place.cut + 1:02d}"] * bool(place.cut)
