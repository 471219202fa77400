"""A process that believes that it runs on another kind of machine."""

from dataclasses import replace

from recbole_apa.core.system.machine import machine_kind

ELSEWHERE = ("recbole_apa.unlearning.machines", "recbole_apa.model.trainer", "recbole_apa.model.shard_trainer")


def on_another(monkeypatch, **changes):
    """From now on this process believes that it runs on another kind of machine."""
    other = replace(machine_kind("cpu"), **(changes or {"instructions": "of another", "processor": "Another One"}))
    for module in ELSEWHERE:
        monkeypatch.setattr(f"{module}.machine_kind", lambda device: other)
    return other
