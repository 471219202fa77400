"""A secret key, and what is derived from it."""

import hashlib
import secrets
from dataclasses import dataclass, field

_LENGTH = 32


@dataclass(frozen=True)
class Key:
    """A secret of 32 bytes; never printed."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "Key":
        """A new key from the operating system's random source."""
        return cls(secrets.token_bytes(_LENGTH))

    @property
    def name(self) -> str:
        """The name by which runs refer to the key: 16 hex digits derived from the secret, which they do not reveal."""
        return hashlib.blake2b(b"", digest_size=8, key=self.secret, person=b"recbole-apa key").hexdigest()

    def keyed(self, digest: str) -> str:
        """Keyed BLAKE2b of a hex digest: without the key, trying names does not reveal what was hashed."""
        return hashlib.blake2b(bytes.fromhex(digest), digest_size=32, key=self.secret).hexdigest()

    def derived(self, salt: str) -> bytes:
        """A secret specific to one run, 32 bytes."""
        return hashlib.blake2b(salt.encode(), digest_size=32, key=self.secret, person=b"recbole-apa run").digest()


def secret_of(salt: str, key: Key | None) -> bytes:
    """The secret for the digest of a run's dataset: derived from its key or, if nothing was forgotten, its salt alone,
    so that the run can be opened anywhere."""
    return key.derived(salt) if key else salt.encode()
