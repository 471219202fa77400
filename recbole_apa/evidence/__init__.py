"""The basis of proofs of forgetting: keys, and the definition of "exact". ``search`` looks for forgotten rows.

It may not know RecBole, transformers, or any room but ``core``.
"""

from recbole_apa.evidence.exactness import DEFINITIONS, exactness_of
from recbole_apa.evidence.key import Key, secret_of
from recbole_apa.evidence.ring import KEY_FILE, KEY_FILE_VARIABLE, KeyRing, key_ring

__all__ = ["DEFINITIONS", "KEY_FILE", "KEY_FILE_VARIABLE", "Key", "KeyRing", "exactness_of", "key_ring", "secret_of"]
