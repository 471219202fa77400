"""RecBole's sequential networks, trained on all positions of a history at once: rows of a comparison.

It may not know runs or files.
"""

__all__: list[str] = []
