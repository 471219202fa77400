"""APA as a RecBole model and trainer, and how a trained state is made from samples.

It may not know how a run is evaluated or built, workers (only their protocol), or requests.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
