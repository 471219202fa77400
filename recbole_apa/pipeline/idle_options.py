"""RecBole options that have no effect with APA: mentioned once, if one is given a value other than its default."""

from logging import getLogger

from recbole.config import Config

from recbole_apa.data.recbole_options import IDLE
from recbole_apa.pipeline.evidence_option import (
    COLUMNS,
    CONTENT,
    EVIDENCE,
    FIT,
    MODELS,
    NONE,
    PAST,
    SAMPLES,
    TEXT,
    VALUES,
)


def idle_options(config: Config) -> dict[str, str]:
    """Given options that change nothing, with the reason.

    Args:
        config: an ``APAConfig`` of APA.
    """
    given, usual = config.external_config_dict, config.internal_config_dict
    out = {name: why for name, why in IDLE.items() if name in given and given[name] != usual.get(name)}
    if given.get("worker") and set(config["eval_args"]["mode"].values()) == {"labeled"}:
        out["worker"] = IDLE["nproc"]
    for name in (COLUMNS, CONTENT, FIT, MODELS, PAST, SAMPLES, TEXT, VALUES):
        if given.get(name, usual.get(name)) != usual.get(name) and config[EVIDENCE] == NONE:
            out[name] = f"the run has no collaborative statistics: {EVIDENCE} is {NONE} here"
    if given.get(TEXT) and TEXT not in out and config[CONTENT] not in ("states", "both"):
        out[TEXT] = f"no state of an item's text is looked at: {CONTENT} is {config[CONTENT]} here"
    several = "," in str(given.get("gpu_id", ""))
    if several and not config["device_map"] and config["engine"] == "local":
        out["gpu_id"] = "only one GPU is used, e.g. device: cuda:1; device_map: auto spreads a large model over all"
    return out


def say_idle(config: Config) -> None:
    """One line in the log, if any."""
    found = idle_options(config)
    if found:
        shown = "; ".join(f"{name} ({why})" for name, why in found.items())
        getLogger().warning(f"these options have no effect with APA: {shown}")
