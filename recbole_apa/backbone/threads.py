"""Several passes at once on a CPU, each on one thread.

One prompt is too small to be shared by several threads, but several prompts can run, each on a thread of its own.
The result of a pass then depends neither on the others nor on the number of threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from recbole_apa.core.errors import BackboneError
from recbole_apa.core.system.surroundings import explained

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_threads(job: Callable[[Item], Result], items: Sequence[Item], one_by_one: bool = False) -> list[Result]:
    """``job`` of each item, in the items' order, without gradients; as many at once as torch has threads.

    Args:
        one_by_one: run one at a time, with the same results: for passes that would remove each other's weights.

    Raises:
        BackboneError: the system has no more threads.
    """
    n_threads = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)
        with torch.no_grad():  # grad mode is per thread
            return job(item)

    try:
        with ThreadPoolExecutor(1 if one_by_one else max(1, min(n_threads, len(items)))) as pool:
            return list(pool.map(alone, items))
    except RuntimeError as error:
        told = explained(error)
        if told is None:
            raise
        raise BackboneError(told) from error
    finally:
        torch.set_num_threads(n_threads)
