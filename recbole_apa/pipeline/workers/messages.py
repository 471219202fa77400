"""What workers of a Ray cluster report, kept until it is asked for; imports nothing, so that it starts at once."""

Message = tuple[str, float, str]
"""Title of the job, share that is done, text."""


class Messages:
    """An actor of its own."""

    def __init__(self) -> None:
        self._kept: list[Message] = []

    def put(self, message: Message) -> None:
        """Keep a message."""
        self._kept.append(message)

    def take(self) -> list[Message]:
        """All that were kept."""
        out, self._kept = self._kept, []
        return out
