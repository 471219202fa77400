"""Proofs that a run forgot what it says: a quick audit, and training again from scratch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
