"""Whether a run was computed on this kind of machine; on another kind the same training gives other bits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.system.machine import MachineKind, kind_from, machine_kind, several
from recbole_apa.runs.names import MACHINES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT

if TYPE_CHECKING:
    import torch

REFUSE, RETRAIN, ACCEPT = "refuse", "retrain", "accept"
CHOICES = (REFUSE, RETRAIN, ACCEPT)
NOT_RECORDED = "kind not recorded"


_PROMISED = (
    " What is promised: the adapters that had seen the forgotten data were trained again without it, from before they "
    "had seen any of it."
)


@dataclass(frozen=True)
class Machines:
    """This machine, and those that the run's parts come from."""

    here: MachineKind
    before: Sequence[MachineKind | None]
    """Each kind once; None if a part does not say, as in runs from before this was recorded."""
    how: str = REFUSE
    """What to do if they differ."""

    @property
    def known(self) -> list[MachineKind]:
        """The recorded kinds."""
        return [kind for kind in self.before if kind is not None]

    @property
    def others(self) -> list[MachineKind]:
        """Kinds that round differently from this one."""
        return [kind for kind in self.known if not kind.rounds_like(self.here)]

    def as_before(self) -> "Machines":
        """For a request that computes nothing: the machines that the run's parts come from, without this one."""
        return replace(self, here=self.known[0]) if self.known else self

    @property
    def retrains(self) -> bool:
        """Whether everything has to be computed again here."""
        return self.how == RETRAIN and (bool(self.others) or None in self.before)

    @property
    def one_kind(self) -> bool:
        """Whether everything in the run after a request comes from machines like this one, with the same processor."""
        return self.retrains or all(kind == self.here for kind in self.before)

    def after(self) -> list[dict[str, str] | None]:
        """What the manifest records after a request for the parts other than shards."""
        if self.retrains:
            return [self.here.plain()]
        unknown: list[dict[str, str] | None] = [None] if None in self.before else []
        return [*unknown, *(kind.plain() for kind in several([*self.known, self.here]))]

    def refuse_others(self, method: str) -> None:
        """
        Raises:
            RequestError: parts come from another kind of machine, and ``how`` is to refuse.
            SettingsError: an approximate method cannot train all shards again.
        """
        if method != EXACT and self.how == RETRAIN:
            raise SettingsError(f"other_machine: {RETRAIN} needs unlearn_method: {EXACT}, found {method}")
        if not self.others or self.how != REFUSE or method != EXACT:
            return
        fields = ", ".join(sorted({name for kind in self.others for name in kind.differences(self.here)}))
        raise RequestError(
            f"the run was computed on another kind of machine (they differ in: {fields}), where the same training "
            f"gives other bits.\n  {self.text()}\nforget on a machine like that one; or give --other_machine={RETRAIN} "
            f"to train all shards again here, or --other_machine={ACCEPT} for a certificate without equal bits"
        )

    def text(self) -> str:
        """Both, for a person."""
        return f"the run's: {self.text_before()}\n  here: {self.here.text()}"

    def text_before(self) -> str:
        """Where the run's parts come from."""
        return "; and ".join(NOT_RECORDED if kind is None else kind.text() for kind in self.before)

    def certified(self, is_exact: bool) -> dict[str, object]:
        """What a certificate says.

        Args:
            is_exact: whether adapters were trained again, and not moved by an approximate method.
        """
        return {
            "here": self.here.plain(),
            "before": [kind and kind.plain() for kind in self.before],
            "retrained": self.retrains,
            "comparable": self.retrains or not self.others,
            "says": self._says(is_exact),
        }

    def _says(self, is_exact: bool) -> str:
        """A sentence for the certificate; empty if everything comes from this machine."""
        here, before = self.here.text(), self.text_before()
        if self.retrains:
            return (
                f"The run was computed on another kind of machine ({before}); every shard was trained again, on "
                f"this one ({here}), and nothing else was taken over than what the exactness says."
            )
        if self.others:
            return (
                "Not comparable bit for bit: what was left untouched was computed on another kind of machine "
                f"({before}) than what was trained now ({here}), and training from scratch on either gives other bits."
                f"{_PROMISED if is_exact else ''}"
            )
        if None in self.before:
            return (
                f"On which kind of machine the earlier parts of the run were computed is not known ({before}); this "
                f"one is {here}. Whether all bits are those of one training from scratch is what --verify tells."
            )
        if not self.one_kind:
            return (
                f"The processors differ by name and have the same instructions ({before}; and {here}). Whether all "
                "bits are those of one training from scratch is what --verify tells."
            )
        return ""


def machines_of(store: RunStore, device: "torch.device | str", how: str = REFUSE) -> Machines:
    """This machine, and those that a finished run records for each shard and for the rest.

    Raises:
        SettingsError: an unknown ``how``.
    """
    if how not in CHOICES:
        raise SettingsError(f"other_machine: found {how!r}, expected one of {', '.join(CHOICES)}")
    noted = store.manifest().get(MACHINES)
    found: list[MachineKind | None] = [None]
    if isinstance(noted, list) and noted:
        found = [kind_from(value) for value in noted]
    for path in sorted((store.folder / "shards").rglob("training.json")):
        record = read_json(path)
        found.append(kind_from(record.get("machine")) if isinstance(record, dict) else None)
    known = several(kind for kind in found if kind is not None)
    unknown: list[MachineKind | None] = [None] if None in found else []
    return Machines(machine_kind(device), [*unknown, *known], how)
