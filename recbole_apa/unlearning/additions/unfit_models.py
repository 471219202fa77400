"""Rows that a run refuses to take because a RecBole model of its evidence could not learn from them, as at a start."""

from recbole_apa.core.errors import RequestError
from recbole_apa.data.presplit_files import Layout
from recbole_apa.data.run_data import RunData
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_models import models_of
from recbole_apa.pipeline.evidence_rows import EvidenceRows


def refuse_unfit(config: APAConfig, before: RunData, after: RunData) -> None:
    """
    Args:
        config: of the run.
        before, after: its rows without and with the addition.

    Raises:
        RequestError: with the addition a model could not be trained any more. One that cannot be trained without it
            either keeps its terms of zeros.
    """
    names = models_of(config)
    if not names:
        return
    layout, with_addition = Layout.of(config), EvidenceRows.of(after)
    whys = {name: why for name in names if (why := with_addition.why_unfit(name, layout))}
    if not whys:
        return
    without = EvidenceRows.of(before)
    new = [f"{name} ({why})" for name, why in whys.items() if not without.why_unfit(name, layout)]
    if new:
        raise RequestError(
            f"with these rows the run's evidence could not have {', '.join(new)} any more; nothing was changed: leave "
            "out the rows that are the reason, or train a new run without the model"
        )
