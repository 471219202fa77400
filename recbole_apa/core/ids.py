"""Ids of interactions and samples: ``user:item:time``, or ``user:item`` in data without timestamps.

A sample has the id of its target interaction. Tokens are written percent-encoded where they contain a separator, and
``#2``, ``#3``, ... marks interactions that would else have the same id.
"""

import re

_APART = re.compile(r"[:#]|%(25|3A|23)")


def id_word(token: str) -> str:
    """A token as ids contain it: the separators of ids, and the escape character, are percent-encoded. Different tokens
    give different words."""
    if not _APART.search(token):
        return token
    return token.replace("%", "%25").replace(":", "%3A").replace("#", "%23")


def user_of(sample_id: str) -> str:
    """The user's token in the id of a sample. (In runs from before format 3, whose ids are not encoded, only up to the
    token's first colon.)"""
    return _token(sample_id.split(":", 1)[0])


def item_of(sample_id: str) -> str:
    """The target item's token in the id of a sample; as :func:`user_of`."""
    return _token(sample_id.split(":", 2)[1].partition("#")[0])


def _token(word: str) -> str:
    """The token that :func:`id_word` wrote."""
    if not _APART.search(word):
        return word
    return word.replace("%23", "#").replace("%3A", ":").replace("%25", "%")
