"""Where a training step and a prediction leave the device: values read back, lists copied over, and Python's share.

    python -m benchmarks.hot_path
    python -m benchmarks.hot_path --small

Runs on a CPU: operations that make a GPU wait, or copy to it, are the same there. It counts values read back
(``item``, ``tolist``, ``bool``, ``cpu``), index searches (``nonzero``) and tensors made from Python lists, each with
the line that causes it; and lists functions by their own time (cProfile). A random Llama with four narrow layers takes
little time itself, so what remains is the code around it.
"""

import cProfile
import pstats
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.command import begin, command, keep
from benchmarks.random_llama import plain_tokenizer, write_random_llama
from benchmarks.random_state import fill_adapters, random_rule
from recbole_apa import APA, APAConfig
from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.backbone.activation_cache import ActivationCache
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.pipeline.build import build

READ_BACK = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "tolist", "numpy", "cpu")
"""The first is ``item``, ``float`` and ``bool``; the last three are not torch operations but calls."""
COPIED = ("lift_fresh",)
"""The operation behind ``torch.tensor`` of a list."""


class Crossings:
    """Counts what crosses between Python and the device meanwhile, by name and line; only in its own thread."""

    def __init__(self) -> None:
        self.found: Counter[tuple[str, str]] = Counter()
        self._modes = ExitStack()

    def __enter__(self) -> "Crossings":
        self._modes.enter_context(_Operations(self.found))
        self._modes.enter_context(_Calls(self.found))
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.close()

    def count(self, names: tuple[str, ...], within: str = "") -> int:
        """How often these operations were caused by lines whose place contains ``within``."""
        return sum(n for (name, line), n in self.found.items() if name in names and within in line)


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[tuple[str, str]]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in READ_BACK + COPIED:
            self._found[name, _line()] += 1
        return function(*given, **(named or {}))


class _Calls(TorchFunctionMode):
    def __init__(self, found: Counter[tuple[str, str]]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in READ_BACK[-3:]:
            self._found[name, _line()] += 1
        return function(*given, **(named or {}))


def _line() -> str:
    """The nearest line that is not torch's or this file's."""
    for frame in reversed(traceback.extract_stack()):
        if "/torch/" not in frame.filename and frame.filename != __file__:
            return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
    return ""


class Work:
    """A model on ml-100k with steps to take and prompts to score; everything else is prepared."""

    def __init__(self, model: APA, data: Any, k: int) -> None:
        self.model, engine = model, model.engine
        part, settings = data.train_set, model.settings
        self.prompts = model.prompts(part.labelled)
        engine.freeze(self.prompts)
        batches = ShardBatches(
            part.labelled, range(len(part.samples)), part.samples, settings.training.train_batch_size, settings.seed
        )
        self.batches = list(batches.epoch(0))
        self.k = k

    def train(self) -> int:
        """Train; returns the number of steps."""
        bank, settings = self.model.engine.bank, self.model.settings
        bank.resize(1)
        bank.load(0, bank.start(settings.seed))
        bank.train(True)
        course = AdapterCourse(bank.parameters(), len(self.batches), settings.training, 0)
        for batch in self.batches:
            course.step_on(self.model.calculate_loss(batch))
        bank.train(False)
        return len(self.batches)

    @torch.no_grad()
    def predict(self) -> int:
        """Predictions by APA(D) for new prompts, one at a time as on a GPU, as other threads could not be counted."""
        engine: Any = self.model.engine
        fill_adapters(engine.bank, self.k)
        self.model.rule = random_rule(self.k, engine.decoder.hidden_size)
        engine.side_by_side = lambda job, items: [job(item) for item in items]
        kept, engine.cache = engine.cache, ActivationCache(0)
        for prompt in self.prompts:
            self.model.aggregate([prompt], self.model.weights([prompt]), "decomposition")
        del engine.side_by_side
        engine.cache = kept
        return len(self.prompts)


def crossings(work: Callable[[], int]) -> list[dict[str, Any]]:
    """Operation, line and count per step, most frequent first."""
    with Crossings() as counted:
        n = work()
    rows = [{"operation": name, "line": line, "a_step": times / n} for (name, line), times in counted.found.items()]
    return sorted((r for r in rows if r["a_step"] >= 0.5), key=lambda r: -r["a_step"])


def functions(work: Callable[[], int], most: int = 12) -> list[dict[str, Any]]:
    """Functions by their own time: share of the total, calls per step."""
    profile = cProfile.Profile()
    n = profile.runcall(work)
    found: Any = pstats.Stats(profile)
    rows = sorted(found.stats.items(), key=lambda item: -item[1][2])[:most]
    return [
        {
            "function": f"{'/'.join(Path(file).parts[-2:])}:{line} {name}",
            "share": own / found.total_tt,
            "calls_a_step": calls / n,
        }
        for (file, line, name), (_, calls, own, _, _) in rows
    ]


def measure(n_samples: int, k: int, folder: Path) -> dict[str, Any]:
    """Both kinds of work."""
    options = {
        "backbone": str(write_random_llama(folder, "tiny", "cpu", plain_tokenizer())),
        "dtype": "float32",
        "train_samples": n_samples,
        "valid_samples": 1,
        "test_samples": 1,
        "show_progress": False,
    }
    work = Work(*build(APAConfig("APA", "ml-100k", config_dict=options)), k)
    out = {}
    for name, job in {"a training step": work.train, "a prediction": work.predict}.items():
        job()
        out[name] = {"crossings": crossings(job), "functions": functions(job)}
    return out


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--train_samples", type=int, default=400)
    parser.add_argument("--shards", type=int, default=16)
    given = begin(parser)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        record = measure(16 if given.small else given.train_samples, given.shards, Path(folder) / "llama")
    keep(given, record)
    for name, found in record.items():
        print(f"\n{name}")
        for rows in found.values():
            print(tabulate(rows, "keys", tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
