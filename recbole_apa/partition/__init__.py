"""Sample -> shard; others can add their own partitions with :func:`register_partition`.

Each partition is one small class. Pure torch; independent of RecBole and transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
