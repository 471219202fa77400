"""The machine and the process: devices, deterministic kernels, locks, signals, standard streams."""

from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.core.system.devices import check_device
from recbole_apa.core.system.file_locks import locked
from recbole_apa.core.system.machine import MachineKind, machine_kind
from recbole_apa.core.system.signals import terminable
from recbole_apa.core.system.streams import patient_streams

__all__ = ["MachineKind", "check_device", "locked", "machine_kind", "patient_streams", "repeatable", "terminable"]
