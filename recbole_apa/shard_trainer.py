"""One adapter, trained on one shard, whatever the other shards hold."""

from collections.abc import Callable

from recbole_apa.adapters.inject import Factors
from recbole_apa.adapters.training import ShardHistory, train_adapter
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.model import APA
from recbole_apa.progress import progress


class ShardTrainer:
    """Trains adapters one at a time.

    Args:
        model: its bank has one place, which is overwritten.
    """

    def __init__(self, model: APA, show_progress: bool) -> None:
        self.model = model
        self.settings = model.settings
        self.show_progress = show_progress

    def fit(
        self, shard: int, n_shards: int, batches: ShardBatches, log: Callable[..., None]
    ) -> tuple[Factors, ShardHistory]:
        """Train from the common start.

        Returns:
            the factors and the :class:`~recbole_apa.adapters.training.ShardHistory`.
        """
        bank = self.model.engine.bank
        bank.load(0, bank.start(self.settings.seed))
        bank.train(True)
        n_steps = self.settings.training.epochs * len(batches)
        bar = progress(None, f"Train shard {shard + 1}/{n_shards}", self.show_progress, total=n_steps)

        def on_step(epoch: int, step: int, loss: float) -> None:
            bar.update()
            bar.set_postfix_str(f"epoch {epoch + 1}, loss {loss:.4f}")
            log(f"Loss/Train/shard_{shard:03d}", loss, step)

        try:
            history = train_adapter(
                bank.parameters(),
                batches.epoch,
                len(batches),
                self.model.calculate_loss,
                self.settings.training,
                self.settings.seed,
                shard,
                on_step,
            )
        finally:
            bar.close()
            bank.train(False)
        return bank.extract(0), history
