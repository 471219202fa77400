"""RecBole on today's libraries, and its reading of files made strict: applied when RecBole is first imported.

``install`` is light: nothing heavy is imported before RecBole is.
"""

from recbole_apa.compat.recbole_compat import install, is_on

__all__ = ["install", "is_on"]
