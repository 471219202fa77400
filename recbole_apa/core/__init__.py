"""What every room builds on: errors, options, seeds, the cache folder.

Imports no other room, and nothing of RecBole but the colours of its progress bars. ``files`` reads and writes files
safely; ``system`` deals with the machine and the process.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
