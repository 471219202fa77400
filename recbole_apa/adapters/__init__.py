"""K adapters in one model: LoRA and (IA)3 layers mixed per sample, their training, files and mixture weights.

Pure torch; independent of RecBole and transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
