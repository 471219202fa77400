"""The frozen language model: finding it, loading it, running it in two parts, and scoring its answers.

The only room that depends on transformers; independent of RecBole.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
