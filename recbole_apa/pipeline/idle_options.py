"""RecBole's options that APA has no use for: said once, where somebody gives one another value than it has anyway."""

from logging import getLogger
from typing import Any

_ITS_OWN_TRAINING = "AdamW trains each adapter, see epochs, learning_rate, weight_decay, stopping_patience"
_OTHER_MACHINES = "see workers and engine: ray"
_GRAPHS = "APA reads no knowledge graph"
IDLE = {
    "train_neg_sample_args": "labels come from ratings",
    "eval_neg_sample_args": "eval_args.mode says how many candidates there are",
    "learner": _ITS_OWN_TRAINING,
    "eval_step": _ITS_OWN_TRAINING,
    "stopping_step": _ITS_OWN_TRAINING,
    "shuffle": "each shard has an order of its own, by seed",
    "loss_type": "see answer_loss",
    "enable_amp": "see dtype",
    "enable_scaler": "see dtype",
    "require_pow": _ITS_OWN_TRAINING,
    "loss_decimal_place": "losses have their places",
    "valid_metric_bigger": "RecBole knows it of each metric",
    "nproc": _OTHER_MACHINES,
    "world_size": _OTHER_MACHINES,
    "ip": _OTHER_MACHINES,
    "port": _OTHER_MACHINES,
    "group_offset": _OTHER_MACHINES,
    "config_file": "files are given with config_files",
    "log_wandb": "figures go to tensorboard and metrics.json",
    "wandb_project": "figures go to tensorboard and metrics.json",
    "preload_weight": "items are texts",
    "NEG_PREFIX": "labels come from ratings",
    "POSITION_FIELD": "a history is in order",
    "HEAD_ENTITY_ID_FIELD": _GRAPHS,
    "TAIL_ENTITY_ID_FIELD": _GRAPHS,
    "RELATION_ID_FIELD": _GRAPHS,
    "ENTITY_ID_FIELD": _GRAPHS,
    "alias_of_entity_id": _GRAPHS,
    "alias_of_relation_id": _GRAPHS,
    "kg_reverse_r": _GRAPHS,
    "entity_kg_num_interval": _GRAPHS,
    "relation_kg_num_interval": _GRAPHS,
}
"""Option -> why, or what to use instead. A test holds the list against what a run reads."""


def idle_options(config: Any) -> dict[str, str]:
    """Options that were given and change nothing, with the reason.

    Args:
        config: an ``APAConfig`` of APA.
    """
    given, usual = config.external_config_dict, config.internal_config_dict
    out = {name: why for name, why in IDLE.items() if name in given and given[name] != usual.get(name)}
    if given.get("worker") and set(config["eval_args"]["mode"].values()) == {"labeled"}:
        out["worker"] = _OTHER_MACHINES
    several = "," in str(given.get("gpu_id", ""))
    if several and not config["device_map"] and config["engine"] == "local":
        out["gpu_id"] = "one GPU does the work, see device: cuda:1; device_map: auto spreads a large model over all"
    return out


def say_idle(config: Any) -> None:
    """One line in the log, if any."""
    found = idle_options(config)
    if found:
        shown = "; ".join(f"{name} ({why})" for name, why in found.items())
        getLogger().warning(f"these options have no effect with APA: {shown}")
