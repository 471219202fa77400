"""The index of what a run may see: the raw interactions as columns on disk, in parts by user.

``write`` makes it, ``read`` gives rows back, ``change`` rewrites the parts that a request touches, ``check`` is the
audit's, ``source`` and ``compare`` deal with the data files that it was made of. Knows numpy and pyarrow, and neither
RecBole nor torch nor pandas.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
