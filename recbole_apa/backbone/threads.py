"""Several passes at once on a CPU, each on one thread.

A prompt by itself is too small for several threads to share; several prompts, each on a thread of its own, are not.
What a pass gives then depends neither on the others nor on how many threads there are.
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
        one_by_one: one at a time, with the same numbers: where passes would take each other's weights away.

    Raises:
        BackboneError: the system gives no more threads.
    """
    n_threads = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)
        with torch.no_grad():  # grad mode is a thread's own
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
