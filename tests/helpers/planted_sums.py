"""Collaborative sums that are not those of the rows."""

from recbole_apa.model import trainer
from recbole_apa.unlearning import light_stage


def a_like_too_many(patch):
    """Sums get a like that no row has, whoever writes them; requests are carried out the long way."""
    save = trainer.save_collaborative

    def wrong(files, fitted):
        fitted.statistics.items.values[0] += 1
        save(files, fitted)

    patch.setattr(light_stage, "open_light", lambda *args: None)
    patch.setattr(trainer, "save_collaborative", wrong)
