"""Every method on the same rows: fit, score, forget, record.

It may not know the search for options beside it, nor the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
