"""Search for options by their validation figures: ranges, the search, its trials.

It may not know the comparison beside it, nor the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
