"""The validation memory: h of each validation sample, and each adapter's score for it (paper, section 3.3)."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.adapters.weight_rules import WeightRule
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.splits import SPLITS
from recbole_apa.model.apa import NO_OPINION
from recbole_apa.model.embed_samples import embed_samples
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import number_users, sample_order


def fill_memory(fit: FitContext, dataset: APADataset, active: Tensor) -> Memory:
    """Embeddings of the validation samples and each adapter's scores for them, in order of sample id. The adapters must
    be in the model's bank.

    Args:
        active: which shards vote, (k,), bool.
    """
    embeddings = embed_samples(fit, dataset, SPLITS[1], "Embed validation prompts")
    start = time.perf_counter()
    rows = _Rows(fit, dataset, active)
    if fit.inputs.pool and fit.inputs.pool.embeds:
        rows.score_elsewhere()
    else:
        rows.score_here()
    samples = [dataset.samples[i] for i in rows.order]
    labels = torch.tensor([s.label for s in samples], dtype=torch.float32)
    fit.record.add_seconds("memory_seconds", start)
    return Memory(embeddings[rows.order], rows.scores, labels, number_users([s.user_id for s in samples]))


def of_memory(rule: WeightRule, dataset: APADataset) -> dict[str, Tensor]:
    """See :meth:`~recbole_apa.model.trainer.APATrainer.validation_scores`."""
    order = sample_order(dataset.samples)
    weights, alone = torch.empty_like(rule.memory.scores), torch.empty_like(rule.memory.scores)
    weights[order], alone[order] = rule.of_memory(), rule.memory.scores
    mixed = (weights * alone).sum(1) if bool(rule.active.any()) else torch.full((len(order),), NO_OPINION)
    return {"weights": weights, "alone": alone, "prediction": mixed}


class _Rows:
    """The scores of the memory's rows, (v, k), with those of an earlier state filled in.

    Attributes:
        order: positions in the dataset, in order of sample id.
        which: the adapters that each row still has to be scored with.
    """

    def __init__(self, fit: FitContext, dataset: APADataset, active: Tensor) -> None:
        self.fit, self.active = fit, active
        self.order = sample_order(dataset.samples)
        self.prompts: list[TokenizedPrompt] = fit.model.prompts_of(dataset)
        self.scores = torch.zeros(len(self.order), len(active))
        kept, reuse = fit.record.as_served, fit.inputs.reuse
        voting = active.nonzero().flatten().tolist()
        fresh = [k for k in voting if k not in kept]
        self.which: list[list[int]] = []
        for place, row in enumerate(self.order):
            before = reuse.scores(dataset.samples[row]) if reuse else None
            if before is not None:
                self.scores[place, kept] = before[kept]
            self.which.append(voting if before is None else fresh)

    def score_here(self) -> None:
        """Compute the missing scores here."""
        if not self.order:
            return
        engine, size = self.fit.model.engine, self.fit.model.engine.step_size
        steps = range(0, len(self.order), size)
        for begin in progress(steps, "Score validation samples", self.fit.show_progress):
            rows = range(begin, min(begin + size, len(self.order)))
            for ks in {tuple(self.which[i]) for i in rows if self.which[i]}:
                group = [i for i in rows if tuple(self.which[i]) == ks]
                found = engine.adapter_scores([self.prompts[self.order[i]] for i in group], ks)
                self.scores[torch.tensor(group)[:, None], torch.tensor(ks)] = found

    def score_elsewhere(self) -> None:
        """Have workers compute the missing scores."""
        pool, engine = self.fit.inputs.pool, self.fit.model.engine
        assert pool is not None
        place = {row: i for i, row in enumerate(self.order)}
        adapters = [engine.bank.extract(k) if on else None for k, on in enumerate(self.active.tolist())]
        for ks in dict.fromkeys(tuple(w) for w in self.which if w):
            rows: Sequence[int] = [row for row, w in zip(self.order, self.which, strict=True) if tuple(w) == ks]
            for part, found in pool.score(SPLITS[1], rows, ks, adapters, engine.step_size):
                for row, values in zip(part, found, strict=True):
                    self.scores[place[row], list(ks)] = values
