"""The key file: secrets outside every run with which digests of what was forgotten are keyed."""

from recbole_apa.keys.key import Key, secret_of
from recbole_apa.keys.ring import KEY_FILE, KEY_FILE_VARIABLE, KeyRing, key_ring

__all__ = ["KEY_FILE", "KEY_FILE_VARIABLE", "Key", "KeyRing", "key_ring", "secret_of"]
