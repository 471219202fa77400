"""A run on disk: the files of a trained state, the ledger of its requests, the lock, logs.

Knows nothing about trainers or requests; ``remote`` is for runs on object stores.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
