"""What does not depend on the number of threads."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def on_one_and_three_threads(make: Callable[[], T]) -> list[T]:
    """What is made when torch has one thread, and when it has three; it has its own number afterwards."""
    n_threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(make())
    finally:
        torch.set_num_threads(n_threads)
    return found
