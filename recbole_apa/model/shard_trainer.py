"""Train adapters, each on its shard, independently of the other shards."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from recbole.data.interaction import Interaction
from torch import Tensor
from tqdm import tqdm

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import AdapterCourse, ShardHistory, train_adapter, train_together
from recbole_apa.core.progress import progress
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.dataloader import ShardBatches
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

    def fit(self, shard: int, n_shards: int, batches: ShardBatches, log: Log) -> Trained:
        """Train one adapter from the common initial factors.

        Returns:
            the factors and the :class:`~recbole_apa.adapters.training.ShardHistory`.
        """
        bank = self.model.engine.bank
        bank.resize(1)
        bank.load(0, bank.start(self.settings.seed))
        bank.train(True)
        groups = bank.kind.parameter_groups
        course = AdapterCourse(bank.parameters(), len(batches), self.settings.training, shard, groups)
        n_steps = self.settings.training.epochs * len(batches)
        bar = progress(None, f"Train shard {shard + 1}/{n_shards}", self.show_progress, total=n_steps)
        try:
            with self._repeatable():
                history = train_adapter(
                    course, batches.epoch, self.model.calculate_loss, self.settings.seed, _shown(bar, log)
                )
        finally:
            bar.close()
            bank.train(False)
        history.machine = self._machine()
        return bank.extract(0), history

    def fit_together(
        self, shards: Sequence[int], n_shards: int, batches: Sequence[ShardBatches], log: Log
    ) -> list[Trained]:
        """Train several shards from the common initial factors, one batch of each in one pass, every sample with its
        own shard's adapter. The same as :meth:`fit` for each, within rounding."""
        bank, settings = self.model.engine.bank, self.settings
        bank.resize(len(shards))
        for i in range(len(shards)):
            bank.load(i, bank.start(settings.seed))
        bank.train(True)
        courses = [
            AdapterCourse(bank.parameters_of(i), len(batches[i]), settings.training, shard, bank.kind.parameter_groups)
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
                histories = train_together(courses, [b.epoch for b in batches], losses_of, gather, _shown(bar, log))
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


def _shown(bar: tqdm, log: Log) -> Callable[[AdapterCourse, float], None]:
    """Advances the bar and logs the loss."""

    def on_step(course: AdapterCourse, loss: float) -> None:
        bar.update()
        bar.set_postfix_str(f"epoch {course.epoch + 1}, loss {loss:.4f}")
        log(f"Loss/Train/shard_{course.shard:03d}", loss, course.step - 1)

    return on_step
