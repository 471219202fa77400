"""The description of one repair of RecBole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Repair:
    """One fault in RecBole and the function that repairs it.

    Attributes:
        module: the RecBole module after whose execution the repair is applied.
        place: file, relative to RecBole's folder, and line of the fault in RecBole 1.2.0.
        text: what that line contains (checked by a test).
        since: the library release from which the fault appears, or the RecBole release that fixed it.
        what: what goes wrong without the repair.
        by: file in this folder, and the function in it, which takes the module.
        optional: skipped if ``RECBOLE_APA_COMPAT=0`` selects RecBole's own reading.
    """

    module: str
    place: str
    text: str
    since: str
    what: str
    by: str
    optional: bool = False

    @property
    def is_mended_later(self) -> bool:
        """Whether RecBole 1.2.1 no longer needs it."""
        return self.since == "RecBole 1.2.1"
