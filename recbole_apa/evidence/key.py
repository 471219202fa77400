"""One secret, and what is made with it."""

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
        """Drawn from the operating system."""
        return cls(secrets.token_bytes(_LENGTH))

    @property
    def name(self) -> str:
        """By which runs say which key they need: 16 hex digits that the secret alone gives, and that do not give it."""
        return hashlib.blake2b(b"", digest_size=8, key=self.secret, person=b"recbole-apa key").hexdigest()

    def keyed(self, digest: str) -> str:
        """BLAKE2b, keyed, of a digest in hex: without the key nobody can tell of what it is by trying names."""
        return hashlib.blake2b(bytes.fromhex(digest), digest_size=32, key=self.secret).hexdigest()

    def derived(self, salt: str) -> bytes:
        """A secret of one run's own, 32 bytes."""
        return hashlib.blake2b(salt.encode(), digest_size=32, key=self.secret, person=b"recbole-apa run").digest()


def secret_of(salt: str, key: Key | None) -> bytes:
    """What the digest of a run's dataset is made with: its key or, where nothing was forgotten, its salt alone, so that
    the run opens wherever it lies."""
    return key.derived(salt) if key else salt.encode()
