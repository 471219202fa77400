"""What a run serves after a request that was carried out at once, until it has caught up."""

from logging import getLogger

from recbole_apa.collaborative import MODEL
from recbole_apa.core.errors import RunError
from recbole_apa.model.trainer import APATrainer
from recbole_apa.runs.names import TO_MAKE


def serves_nothing(trainer: APATrainer) -> bool:
    """Whether no adapter is left, and no collaborative statistics are served in their place."""
    rule, served = trainer.model.rule, trainer.combined.served if trainer.combined else MODEL
    return rule is not None and not bool(rule.active.any()) and served == MODEL


def refuse_nothing(trainer: APATrainer) -> None:
    """
    Raises:
        RunError: the run has nothing to serve.
    """
    if serves_nothing(trainer):
        place = trainer.store.place if trainer.store else "the run"
        raise RunError(
            f"{place} has no adapter and no evidence left to serve, after a request that was carried out at once; "
            "train what is missing with --catch_up"
        )


def say_prefixes(trainer: APATrainer) -> None:
    """Log which shards serve an adapter that was not trained to its end, if any."""
    store = trainer.store
    if store is None or TO_MAKE not in store.manifest():
        return
    ends = ", ".join(
        f"shard {k:03d} before {place.text() or 'its start'}" for k, place in store.load_prefixes().items()
    )
    missing = ", ".join(store.manifest()[TO_MAKE])
    told = f"training ends early ({ends}); what is missing, {missing} included, is" if ends else f"{missing} are"
    getLogger().warning(f"after a request at once, {told} made with --catch_up")
