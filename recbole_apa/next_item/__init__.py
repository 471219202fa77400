"""Next items over a whole catalogue, by heads on one pass of the frozen language model, forgotten exactly.

It may not know the comparison of labelled methods, the search for options, or the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
