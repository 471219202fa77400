"""What a prediction costs: APA compared with one adapter, K passes, and PEFT's own ways of using K adapters at once.

    python -m benchmarks.inference --out=benchmarks/results/inference.json
    python -m benchmarks.inference --small

There are two references, each one adapter in the same engine and the same process, measured in turn: one that computes
the embedding as APA must, and one alone, which needs none. With a trunk they cost the same, because the embedding is
the trunk's; without one the embedding is a pass of its own, which only APA needs. "all" includes everything that a new
prompt costs: the frozen trunk and the attention; for "upper" the trunk's activations are already there. Prompts are
random tokens. K passes and PEFT's mixed batch are timed for at most 2 adapters and scaled to K; merging with
PEFT for at most 4 samples (one after another, as PEFT requires).
"""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.random_state import fill_adapters, random_rule
from benchmarks.timing import Contender, ratios, seconds_per_sample
from recbole_apa import APAConfig
from recbole_apa.adapters.peft_files import PeftDescription, write_adapter
from recbole_apa.backbone.activation_cache import FrozenPass
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.data.recbole_settings import read_settings

REFERENCE = {"all": "one adapter with embedding, all", "upper": "one adapter, upper"}
ALONE = "one adapter alone, all"
"""The other reference of what is called "all"."""
TIMED_PASSES = 2
MERGED_SAMPLES = 4


class Setting:
    """Prompts, and the models that answer them.

    Args:
        one, many: engines with one and with K adapters.
        peft: PEFT's model with at least K adapters, named "0", "1", ...
    """

    def __init__(self, one: ScoringEngine, many: ScoringEngine, peft: Any, batch: int, n_tokens: int) -> None:
        self.one, self.many, self.peft = one, many, peft
        self.k, self.batch, self.device = many.bank.n_adapters, batch, str(many.decoder.device)
        g = torch.Generator().manual_seed(0)
        ids = torch.randint(1000, 20_000, (batch, n_tokens), generator=g).tolist()
        self.prompts = [TokenizedPrompt(tuple(row), (n_tokens - 1,), (), 0) for row in ids]
        self.rule = random_rule(self.k, many.decoder.hidden_size)

    def contenders(self) -> dict[str, Contender]:
        """By name; each serves the whole batch unless it says otherwise."""
        n = self.batch
        known = {id(engine): engine.freeze(self.prompts) for engine in (self.one, self.many)}
        ones = torch.ones(n, 1)

        def all_of(engine: ScoringEngine, weights: Tensor | None, mode: Any) -> Contender:
            def run() -> Tensor:
                engine.cache.keep_only([])
                h = engine.embeddings(self.prompts)
                return engine.scores(self.prompts, self.rule(h) if weights is None else weights, mode)

            return Contender(run, n)

        def upper(engine: ScoringEngine, weights: Tensor, mode: Any) -> Contender:
            def run() -> Tensor:
                return engine.score_frozen(known[id(engine)], weights, mode)

            return Contender(run, n)

        w = self.rule(torch.stack([f.embedding for f in known[id(self.many)]]))
        passes = min(self.k, TIMED_PASSES)
        merged = min(n, MERGED_SAMPLES)
        return {
            REFERENCE["all"]: all_of(self.one, ones, "decomposition"),
            ALONE: Contender(self._alone, n),
            "APA(D), all": all_of(self.many, None, "decomposition"),
            "APA(ND), all": all_of(self.many, None, "non_decomposition"),
            REFERENCE["upper"]: upper(self.one, ones, "decomposition"),
            "APA(D), upper": upper(self.many, w, "decomposition"),
            "APA(ND), upper": upper(self.many, w, "non_decomposition"),
            "K passes, upper": Contender(lambda: self._passes(known[id(self.many)], passes), n, passes / self.k),
            "PEFT, mixed batch over K, all": Contender(lambda: self._mixed(passes), n, passes / self.k),
            "PEFT, add_weighted_adapter, all": Contender(lambda: self._merge(w[:merged]), merged),
        }

    def _alone(self) -> Tensor:
        """One adapter's answers to new prompts, without their embeddings."""
        engine, size = self.one, self.one.batch_size

        def read(chunk: list[TokenizedPrompt]) -> list[FrozenPass]:
            return [FrozenPass(s, s.new_empty(0)) for s in engine.decoder.trunk([p.ids for p in chunk])]

        chunks = [self.prompts[i : i + size] for i in range(0, len(self.prompts), size)]
        frozen = [found for part in engine.side_by_side(read, chunks) for found in part]
        return engine.score_frozen(frozen, torch.ones(len(frozen), 1), "decomposition")

    def _passes(self, known: list[Any], n_passes: int) -> None:
        for i in range(n_passes):
            one_hot = torch.zeros(self.batch, self.k)
            one_hot[:, i] = 1
            self.many.score_frozen(known, one_hot, "decomposition")

    @torch.no_grad()
    def _mixed(self, n_adapters: int) -> None:
        ids = torch.tensor([p.ids for p in self.prompts], device=self.device)
        names = [str(i) for i in range(n_adapters) for _ in self.prompts]
        self.peft(input_ids=ids.repeat(n_adapters, 1), adapter_names=names, logits_to_keep=1)

    @torch.no_grad()
    def _merge(self, weights: Tensor) -> None:
        names = [str(i) for i in range(self.k)]
        for prompt, w in zip(self.prompts[: len(weights)], weights, strict=True):
            self.peft.add_weighted_adapter(names, w.tolist(), "merged", combination_type="linear")
            self.peft.set_adapter("merged")
            self.peft(input_ids=torch.tensor([prompt.ids], device=self.device), logits_to_keep=1)
            self.peft.set_adapter("0")
            self.peft.delete_adapter("merged")


def an_engine(config: APAConfig, k: int) -> ScoringEngine:
    """An engine with K random adapters."""
    s = read_settings(config)
    engine = ScoringEngine(load_backbone(s.backbone, config["device"]), s.backbone, s.prompts, s.adapters, 0)
    fill_adapters(engine.bank, k)
    return engine


def a_setting(options: dict[str, Any], k: int, batch: int, n_tokens: int, folder: Path) -> Setting:
    """Three copies of the backbone; PEFT loads APA's own adapters, which are written to ``folder``."""
    config = APAConfig("APA", "ml-100k", config_dict={**options, "forward_batch_size": batch})
    one, many = (an_engine(config, n) for n in (1, k))
    settings = read_settings(config)
    about = PeftDescription("", settings.adapters, many.decoder.upper_layers())
    for i in range(k):
        (folder / str(i)).mkdir(parents=True)
        write_adapter(folder / str(i), many.bank.extract(i), about)
    base = load_backbone(settings.backbone, config["device"]).model
    peft = PeftModel.from_pretrained(base, folder / "0", adapter_name="0")
    for i in range(1, k):
        peft.load_adapter(folder / str(i), adapter_name=str(i))
    return Setting(one, many, peft, batch, n_tokens)


@dataclass(frozen=True)
class How:
    """How contenders are timed."""

    repetitions: int
    few: bool = False
    """Whether to leave out what needs K passes, or PEFT."""
    cpu_time: bool = False
    """Whether to count CPU seconds of this process, not seconds on the wall."""


def measure(options: dict[str, Any], ks: list[int], batches: list[int], n_tokens: int, how: How) -> list[dict]:
    """One record for each K and batch size."""
    clock = time.process_time if how.cpu_time else time.perf_counter
    rows = []
    for batch in batches:
        for k in ks:
            with tempfile.TemporaryDirectory() as folder:
                setting = a_setting(options, k, batch, n_tokens, Path(folder))
                timed = setting.contenders()
                if how.few:
                    timed = {name: c for name, c in timed.items() if not name.startswith(("K passes", "PEFT"))}
                seconds = seconds_per_sample(timed, how.repetitions, setting.device, clock=clock)
            found: dict[str, dict[str, float]] = {}
            for part, reference in REFERENCE.items():
                group = {name: values for name, values in seconds.items() if name.endswith(part)}
                found |= ratios(group, reference)
            of_all = {name: values for name, values in seconds.items() if name.endswith("all")}
            for name, told in ratios(of_all, ALONE).items():
                found[name] |= {f"{key}_to_alone": told[key] for key in ("ratio", "ratio_low", "ratio_high")}
            rows.append({"k": k, "batch": batch, "device": setting.device, "contenders": found})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def table(rows: list[dict]) -> str:
    """Ratios to one adapter with the embedding and to one alone: median, and the range over repetitions."""
    ks = list(dict.fromkeys(r["k"] for r in rows))
    head = ["batch", "contender", *(f"K = {k}" for k in ks), *(f"to one alone, K = {k}" for k in ks)]

    def cell(found: dict[str, float], key: str) -> str:
        if f"ratio{key}" not in found:
            return ""
        return "{:.2f} ({:.2f}-{:.2f})".format(*(found[f"ratio{end}{key}"] for end in ("", "_low", "_high")))

    body = []
    for batch in dict.fromkeys(r["batch"] for r in rows):
        found = [r["contenders"] for r in rows if r["batch"] == batch]
        for name in found[0]:
            cells = [cell(c[name], key) for key in ("", "_to_alone") for c in found]
            body.append([batch, name, *cells])
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--shards", default="2,4,8,16,64")
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--tokens", type=int, default=139, help="of a prompt; 139 is ml-100k's mean")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--trunk_layers", type=float, default=0.5, help="0: adapters in all layers, embedding: final")
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--cpu_time", action="store_true", help="CPU seconds of this process, for a busy machine")
    parser.add_argument("--few", action="store_true", help="no K passes, and none of PEFT's ways")
    given = begin(parser)
    if given.small:
        given.shards, given.batches, given.tokens, given.repetitions = "2", "1,2", 16, 1
    options: dict[str, Any] = {"backbone": given.backbone, "trunk_layers": given.trunk_layers or 0}
    if not given.trunk_layers:
        options["embedding"] = "final"
    ks, batches = ([int(n) for n in text.split(",")] for text in (given.shards, given.batches))
    rows = measure(options, ks, batches, given.tokens, How(given.repetitions, given.few, given.cpu_time))
    keep(given, {"tokens": given.tokens, "cpu_time": given.cpu_time, **options, "rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
