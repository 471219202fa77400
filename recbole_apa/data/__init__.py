"""RecBole's rows -> samples -> prompts -> batches.

Depends on RecBole. It may not know language models, adapters, runs or requests. Names are imported on first use,
because the repairs of RecBole use this room's reader.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
