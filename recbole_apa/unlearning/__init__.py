"""Unlearning: request -> plan -> ledger -> retraining -> certificate, and the proof.

It may not know comparisons, the search for options, or the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
