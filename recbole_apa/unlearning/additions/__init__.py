"""Growth: interactions join a run, whose samples are trained after what each shard has learnt."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
