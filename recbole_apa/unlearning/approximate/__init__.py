"""Approximate unlearning: a trained adapter is moved away from what it learnt from the forgotten samples.

Add your own method with :func:`register_approximate_method`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
