"""Keeps what workers of a Ray cluster report until it is fetched; imports nothing, so that it starts quickly."""

Message = tuple[str, float, str]
"""Title of the job, share done, text."""


class Messages:
    """A separate actor."""

    def __init__(self) -> None:
        self._kept: list[Message] = []

    def put(self, message: Message) -> None:
        """Keep a message."""
        self._kept.append(message)

    def take(self) -> list[Message]:
        """Return and clear all messages."""
        out, self._kept = self._kept, []
        return out
