"""Whether torch.compile pays off: training steps with compiled and with plain upper layers, in turn, same batches.

    python -m benchmarks.compile --out=benchmarks/results/compile.json
    python -m benchmarks.compile --small

The first compiled step includes the compilation. ``pays_after_steps`` is the number of steps after which that breaks
even; a shard of 256 samples in batches of 8 has 32.
"""

import time
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from recbole_apa import APA, APAConfig
from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.pipeline.build import build

PLAIN, COMPILED = "plain", "compiled"


class Stepper:
    """Trains one adapter, one batch at a time."""

    def __init__(self, n_samples: int, compiled: bool) -> None:
        options = {"protocol": "tallrec", "train_samples": n_samples, "valid_samples": 0, "test_samples": 1}
        self.model: APA
        self.model, data = build(APAConfig("APA", "ml-100k", config_dict=options))
        part, settings = data.train_set, self.model.settings
        self.model.engine.freeze(self.model.prompts(part.labelled))
        batches = ShardBatches(
            part.labelled, range(n_samples), part.samples, settings.training.train_batch_size, settings.seed
        )
        self.batches = list(batches.epoch(0))
        decoder, bank = self.model.engine.decoder, self.model.engine.bank
        if compiled:
            for layer in decoder.decoder.layers[decoder.n_trunk :]:
                layer.compile(dynamic=True)
        bank.load(0, bank.start(settings.seed))
        bank.train(True)
        self.course = AdapterCourse(bank.parameters(), len(batches), settings.training, 0)

    def step(self, i: int) -> tuple[float, float]:
        """Seconds and loss of the i-th step."""
        start = time.perf_counter()
        value = self.course.step_on(self.model.calculate_loss(self.batches[i]))
        return time.perf_counter() - start, value


def measure(n_samples: int) -> dict[str, Any]:
    """Seconds of the first step, median seconds of the later ones, and losses."""
    steppers = {name: Stepper(n_samples, name == COMPILED) for name in (PLAIN, COMPILED)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in steppers}
    for i in range(len(steppers[PLAIN].batches)):
        for name, stepper in steppers.items():
            found[name].append(stepper.step(i))
    seconds = {name: np.array([s for s, _ in steps]) for name, steps in found.items()}
    later = {name: float(np.median(s[1:])) for name, s in seconds.items()}
    gaps = [abs(a - b) for (_, a), (_, b) in zip(found[PLAIN], found[COMPILED], strict=True)]
    saved = later[PLAIN] - later[COMPILED]
    return {
        "first_step_seconds": {name: float(s[0]) for name, s in seconds.items()},
        "later_step_seconds": later,
        "ratio": float(np.median(seconds[COMPILED][1:] / seconds[PLAIN][1:])),
        "pays_after_steps": float((seconds[COMPILED][0] - seconds[PLAIN][0]) / saved) if saved > 0 else None,
        "largest_difference_of_a_loss": max(gaps),
    }


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--train_samples", type=int, default=256)
    given = begin(parser)
    record = measure(16 if given.small else given.train_samples)
    keep(given, record)
    print(tabulate([[name, str(value)] for name, value in record.items()], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
