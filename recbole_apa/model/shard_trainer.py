"""Train adapters, each on its shard, independently of the other shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from recbole.data.interaction import Interaction
from torch import Tensor
from tqdm import tqdm

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import AdapterCourse, ShardHistory, train_adapter, train_together
from recbole_apa.core.progress import progress
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.dataloader import Batches
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import Log

Trained = tuple[Factors, ShardHistory]


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
        start: Factors | None = None,
        piece: int = 0,
    ) -> Trained:
        """Train one adapter. A later piece continues with the factors alone: moments, warm-up and stopping rule are its
        own.

        Args:
            start: the adapter to continue from; None takes the common initial factors.
            piece: number of the shard's piece that is trained.

        Returns:
            the factors and the :class:`~recbole_apa.adapters.training.ShardHistory`.
        """
        bank = self.model.engine.bank
        bank.resize(1)
        bank.load(0, start or bank.start(self.settings.seed))
        bank.train(True)
        groups = bank.kind.parameter_groups
        course = AdapterCourse(bank.parameters(), len(batches), self.settings.training, shard, groups, piece)
        n_steps = self.settings.training.epochs * len(batches)
        title = f"Train shard {shard + 1}/{n_shards}" + (f", piece {piece}" if piece else "")
        bar = progress(None, title, self.show_progress, total=n_steps)
        try:
            with self._repeatable():
                epochs = _epochs(batches, piece)
                history = train_adapter(course, epochs, self.model.calculate_loss, self.settings.seed, _shown(bar, log))
        finally:
            bar.close()
            bank.train(False)
        history.machine = self._machine()
        return bank.extract(0), history

    def fit_together(
        self,
        shards: Sequence[int],
        n_shards: int,
        batches: Sequence[Batches],
        log: Log,
        starts: Sequence[Factors | None] | None = None,
        pieces: Sequence[int] | None = None,
    ) -> list[Trained]:
        """Train several shards, one batch of each in one pass, every sample with its own shard's adapter. The same as
        :meth:`fit` for each, within rounding.

        Args:
            starts: for each shard as in :meth:`fit`; None takes the common initial factors for all.
            pieces: likewise; None trains the first piece of all.
        """
        bank, settings = self.model.engine.bank, self.settings
        starts, pieces = starts or [None] * len(shards), pieces or [0] * len(shards)
        bank.resize(len(shards))
        for i in range(len(shards)):
            bank.load(i, starts[i] or bank.start(settings.seed))
        bank.train(True)
        groups = bank.kind.parameter_groups
        courses = [
            AdapterCourse(bank.parameters_of(i), len(batches[i]), settings.training, shard, groups, pieces[i])
            for i, shard in enumerate(shards)
        ]

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
                epochs = [_epochs(batches[i], pieces[i]) for i in range(len(shards))]
                histories = train_together(courses, epochs, losses_of, gather, _shown(bar, log))
        finally:
            bar.close()
            bank.train(False)
        for history in histories:
            history.machine = self._machine()
        return [(bank.extract(i), history) for i, history in enumerate(histories)]

    def _repeatable(self) -> AbstractContextManager[None]:
        return repeatable(self.model.engine.decoder.device, self.model.reproducible)

    def _machine(self) -> dict[str, str]:
        return machine_kind(self.model.engine.decoder.device).plain()


def _epochs(batches: Batches, piece: int) -> Callable[[int], Iterator[Interaction]]:
    """Epoch -> its batches, in the order of a piece."""
    return lambda epoch: batches.epoch(epoch, piece)


def _shown(bar: tqdm, log: Log) -> Callable[[AdapterCourse, float], None]:
    """Advances the bar and logs the loss."""

    def on_step(course: AdapterCourse, loss: float) -> None:
        bar.update()
        bar.set_postfix_str(f"epoch {course.epoch + 1}, loss {loss:.4f}")
        piece = f"/piece_{course.piece:02d}" if course.piece else ""
        log(f"Loss/Train/shard_{course.shard:03d}{piece}", loss, course.step - 1)

    return on_step
