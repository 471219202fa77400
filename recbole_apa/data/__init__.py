"""RecBole's rows -> samples -> prompts -> batches.

Knows RecBole; its names are imported when first used, for RecBole itself is repaired with the reader of this room.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
