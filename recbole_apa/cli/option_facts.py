"""What the fields of option classes declare besides their types."""

from enum import Flag, auto

from recbole_apa.core.option import OPTION, Bounds, Option

USE = "use"
"""Key of a field's :class:`Use` in its metadata."""


class Use(Flag):
    """Facts about an option of the command line; each is false unless declared."""

    NOTHING = 0
    NAMES_DATA = auto()
    """It names what is to be forgotten."""
    MANNER = auto()
    """It says how a request is carried out."""
    AS_MADE = auto()
    """It is a part of the request: one that waits is carried out as it was made."""
    ON_FINISHED = auto()
    """It needs a finished run."""
    CHOOSES = auto()
    """A flag that chooses the command; set to false it counts as not given."""
    STREAM = auto()
    """A number that describes a stream of requests."""
    WITH_ADD = auto()
    """An option of a request that goes with an addition, too."""


def told(
    shown: str = "", use: Use = Use.NOTHING, bounds: Bounds | None = None, expected: str = ""
) -> dict[str, object]:
    """The metadata of a field.

    Args:
        shown: an example of a value, for the help.
        expected: what messages give as expected, where type and bounds do not express it well.
    """
    return {OPTION: Option(bounds=bounds, expected=expected, shown=shown), USE: use}
