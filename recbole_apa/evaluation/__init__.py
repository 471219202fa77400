"""Scores -> figures: metrics, intervals, and the simple rules that a model must beat.

It may not know how a run is built, nor workers or requests: those are ``pipeline`` and the rooms above.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
