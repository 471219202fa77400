"""What RecBole needs to read people's files right: applied to RecBole itself when it is first imported.

``install`` is light: nothing heavy is imported before RecBole is.
"""

from recbole_apa.compat.recbole_compat import install, is_on

__all__ = ["install", "is_on"]
