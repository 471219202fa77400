"""One thread for what must round the same way each time."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and the BLAS libraries compute on one thread: several add in varying order, and the last bits differ."""
    import torch
    from threadpoolctl import threadpool_limits

    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(n_threads)
