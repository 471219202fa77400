"""From options to a trained, evaluated run: RecBole's configuration, what it builds, workers, records.

It may not know requests to forget, comparisons or the search for options. Names are imported on first use: a worker's
process has to start before anything heavy is imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
