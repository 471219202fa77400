"""What ranking costs: 100 candidates for each of 50 users, with every prompt alone and with shared prefixes.

    python -m benchmarks.ranking --out=benchmarks/results/ranking.json
    python -m benchmarks.ranking --small

Real histories and titles of ml-100k, K random adapters. Everything that a new prompt costs is included: trunk,
embedding, attention, upper layers. "own weights" is `embedding_pooling: last`, where the adapters are mixed again for
every candidate: only the trunk is shared. "weights of the history" is `embedding_pooling: history`: the upper layers
are shared, too. The reference scores the same prompts one after another, only for the first users, and is scaled to all
of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.random_state import fill_adapters, random_rule
from benchmarks.timing import Contender, ratios, seconds_per_sample
from recbole_apa import APA, APAConfig
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.evaluation.candidates import draw_candidates
from recbole_apa.pipeline.build import build

REFERENCE = "each alone"
POOLINGS = {"own weights": "last", "weights of the history": "history"}


def ready_model(pooling: str, k: int, n_users: int) -> tuple[APA, Any]:
    """A model with K random adapters, a random memory, and the data that it ranks."""
    options = {"embedding_pooling": pooling, "train_samples": 64, "valid_samples": 0, "test_samples": 50 + 10 * n_users}
    config = APAConfig("APA", "ml-100k", config_dict=options)
    model, data = build(config)
    fill_adapters(model.engine.bank, k)
    model.rule = random_rule(k, model.engine.decoder.hidden_size)
    return model, data.test_set


def lists_of(model: APA, dataset: Any, n_users: int, n_items: int) -> list[list[TokenizedPrompt]]:
    """Prompts of ``n_items`` candidates for each user."""
    rated: dict[str, set[str]] = {}
    for user, item in zip(dataset.interactions.users, dataset.interactions.items, strict=True):
        rated.setdefault(user, set()).add(item)
    liked = {sample.user_id: sample for sample in dataset.samples if sample.label}
    samples = list(liked.values())[:n_users]
    drawn = draw_candidates(samples, rated, dataset.item_tokens(), n_items - 1, seed=0)
    prompts = model.engine.encode(dataset.prompt_inputs(drawn.expand(samples)))
    return [prompts[i : i + n_items] for i in range(0, len(prompts), n_items)]


def contenders(
    model: APA, lists: Sequence[list[TokenizedPrompt]], name: str, n_alone: int
) -> tuple[dict[str, Contender], float]:
    """The two ways, and the largest difference of their scores on the first list."""
    every = [prompt for prompts in lists for prompt in prompts]
    alone = [prompt for prompts in lists[:n_alone] for prompt in prompts]

    def each(prompts: list[TokenizedPrompt]) -> Callable[[], Tensor]:
        def score() -> Tensor:
            model.engine.cache.keep_only([])
            return model.aggregate(prompts, model.weights(prompts))

        return score

    gap = (each(lists[0])() - model.score_lists(lists[0])).abs().max()
    found = {
        f"{REFERENCE}, {name}": Contender(each(alone), len(alone)),
        f"shared, {name}": Contender(lambda: model.score_lists(every), len(every)),
    }
    return found, float(gap)


def measure(k: int, n_users: int, n_items: int, n_alone: int, repetitions: int) -> dict[str, Any]:
    """Ratios to scoring each prompt alone, and seconds of ranking the whole catalogue for one user."""
    out: dict[str, Any] = {"k": k, "n_users": n_users, "n_items": n_items, "contenders": {}, "largest_difference": {}}
    for name, pooling in POOLINGS.items():
        model, dataset = ready_model(pooling, k, n_users)
        model.engine.cache.max_bytes = 0
        lists = lists_of(model, dataset, n_users, n_items)
        ways, out["largest_difference"][name] = contenders(model, lists, name, n_alone)
        if pooling == "history":
            ways[f"shared, {name}, all {model.n_items - 1} items"] = Contender(
                lambda model=model, rows=dataset.labelled[[0]]: model.full_sort_predict(rows), model.n_items - 1
            )
        # takes minutes, and the first list is scored above: nothing is left to warm up
        seconds = seconds_per_sample(ways, repetitions, str(model.device), warm_up=False)
        out["contenders"] |= ratios(seconds, f"{REFERENCE}, {name}")
    return out


def table(record: dict[str, Any]) -> str:
    """Milliseconds per candidate and speed-up over each alone: median, and the range over repetitions."""
    body = [
        [
            name,
            f"{1000 * f['seconds_per_sample']:.1f}",
            f"{1 / f['ratio']:.1f} ({1 / f['ratio_high']:.1f}-{1 / f['ratio_low']:.1f})",
        ]
        for name, f in record["contenders"].items()
    ]
    return tabulate(body, ["ranking", "ms a candidate", "times faster"], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--alone", type=int, default=2, help="users whose prompts are scored one by one")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3)
    given = begin(parser)
    if given.small:
        given.users, given.items, given.alone, given.repetitions = 2, 4, 1, 1
    record = measure(given.shards, given.users, given.items, given.alone, given.repetitions)
    keep(given, record)
    print(table(record))
    print(f"largest difference of a score: {record['largest_difference']}")


if __name__ == "__main__":
    main()
