"""Run the frozen passes of samples, which give h of each."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.splits import SPLITS
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import sample_order
from recbole_apa.runs.names import EMBEDDINGS


def embed_samples(fit: FitContext, dataset: APADataset, split: str, title: str) -> Tensor:
    """Run the frozen passes of a split's samples: h, (n, d)."""
    start, reuse = time.perf_counter(), fit.inputs.reuse
    prompts = fit.model.prompts_of(dataset)
    fit.count_cuts(prompts)
    known = [reuse.embedding(s) if reuse else None for s in dataset.samples]
    missing = [i for i, h in enumerate(known) if h is None]
    for chunk, embeddings in _embeddings(fit, split, prompts, missing, title):
        for i, h in zip(chunk, embeddings, strict=True):
            known[i] = h
    fit.record.add_seconds("read_prompts_seconds", start)
    found = [h for h in known if h is not None]
    return torch.stack(found) if found else fit.model.engine.embeddings([])


def embed_training_samples(fit: FitContext, dataset: APADataset) -> Tensor:
    """h of the training samples, (n, d), kept in the store in order of sample id."""
    order, store = sample_order(dataset.samples), fit.store
    kept = store.load_embeddings() if store and store.has(EMBEDDINGS) else None
    if kept is not None and len(kept) == len(order):
        fit.count_cuts(fit.model.prompts_of(dataset))
        out = torch.empty_like(kept)
        out[order] = kept
        return out
    embeddings = embed_samples(fit, dataset, SPLITS[0], "Embed training prompts")
    if store:
        store.save_embeddings(embeddings[order])
    return embeddings


def _embeddings(
    fit: FitContext, split: str, prompts: Sequence[TokenizedPrompt], rows: Sequence[int], title: str
) -> Iterator[tuple[Sequence[int], Tensor]]:
    engine, size, pool = fit.model.engine, fit.model.engine.step_size, fit.inputs.pool
    if pool and pool.embeds:
        yield from pool.embed(split, rows, size, title)
        return
    for begin in progress(range(0, len(rows), size), title, fit.show_progress):
        chunk = rows[begin : begin + size]
        yield chunk, engine.embeddings([prompts[i] for i in chunk])
