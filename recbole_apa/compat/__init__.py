"""Repairs that run RecBole on today's libraries and make it read files strictly; applied when RecBole is imported.

It may not know models, runs or requests: of the rooms only ``data``, whose reader it puts in place of RecBole's.
``install`` is cheap: it imports nothing heavy before RecBole itself is imported.
"""

from recbole_apa.compat.recbole_compat import install, is_on

__all__ = ["install", "is_on"]
