"""How APA treats RecBole's own options, in one table; their types are checked in :mod:`.recbole_checks`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto


class Role(Flag):
    """Facts about one of RecBole's options; each is false unless stated in the table."""

    NONE = 0
    IN_MANIFEST = auto()
    """A run's manifest may set it, although its type is not checked."""
    PASSED_OVER = auto()
    """A run's manifest may contain it, but it is not read from there."""
    PICKLE = auto()
    """It names a pickle, which can run code of whoever wrote it."""
    MAY_CHANGE = auto()
    """It may differ when a finished run is opened."""
    DECIDES_ROWS = auto()
    """It decides which samples or measures a model is evaluated on: figures for different values cannot be compared."""
    SAYS_WHERE = auto()
    """It says where or how the work is done, and does not change figures."""
    UNLISTED = auto()
    """RecBole's code reads it, but RecBole's lists of arguments do not include it."""


@dataclass(frozen=True)
class RecBoleOption:
    """One of RecBole's options."""

    roles: Role = Role.NONE
    idle: str = ""
    """Why it has no effect with APA, or what to use instead; empty if it has an effect."""


_ITS_OWN_TRAINING = "AdamW trains each adapter, see epochs, learning_rate, weight_decay, stopping_patience"
_OTHER_MACHINES = "see workers and engine: ray"
_GRAPHS = "APA reads no knowledge graph"
RECBOLE_OPTIONS: Mapping[str, RecBoleOption] = {
    "train_neg_sample_args": RecBoleOption(idle="labels come from ratings"),
    "eval_neg_sample_args": RecBoleOption(
        Role.DECIDES_ROWS | Role.UNLISTED, idle="eval_args.mode says how many candidates there are"
    ),
    "learner": RecBoleOption(idle=_ITS_OWN_TRAINING),
    "eval_step": RecBoleOption(idle=_ITS_OWN_TRAINING),
    "stopping_step": RecBoleOption(idle=_ITS_OWN_TRAINING),
    "shuffle": RecBoleOption(Role.UNLISTED, idle="each shard has its own order, derived from the seed"),
    "loss_type": RecBoleOption(Role.UNLISTED, idle="see answer_loss"),
    "enable_amp": RecBoleOption(idle="see dtype"),
    "enable_scaler": RecBoleOption(idle="see dtype"),
    "require_pow": RecBoleOption(idle=_ITS_OWN_TRAINING),
    "loss_decimal_place": RecBoleOption(idle="losses are shown with a fixed number of places"),
    "valid_metric_bigger": RecBoleOption(Role.DECIDES_ROWS, idle="RecBole knows it for each metric"),
    "nproc": RecBoleOption(Role.SAYS_WHERE | Role.UNLISTED, idle=_OTHER_MACHINES),
    "world_size": RecBoleOption(Role.SAYS_WHERE | Role.UNLISTED, idle=_OTHER_MACHINES),
    "ip": RecBoleOption(Role.SAYS_WHERE | Role.UNLISTED, idle=_OTHER_MACHINES),
    "port": RecBoleOption(Role.SAYS_WHERE | Role.UNLISTED, idle=_OTHER_MACHINES),
    "group_offset": RecBoleOption(Role.SAYS_WHERE | Role.UNLISTED, idle=_OTHER_MACHINES),
    "config_file": RecBoleOption(idle="pass files with config_files"),
    "log_wandb": RecBoleOption(Role.SAYS_WHERE, idle="figures go to tensorboard and metrics.json"),
    "wandb_project": RecBoleOption(Role.SAYS_WHERE, idle="figures go to tensorboard and metrics.json"),
    "preload_weight": RecBoleOption(idle="items are texts"),
    "NEG_PREFIX": RecBoleOption(idle="labels come from ratings"),
    "POSITION_FIELD": RecBoleOption(idle="a history is in order"),
    "HEAD_ENTITY_ID_FIELD": RecBoleOption(idle=_GRAPHS),
    "TAIL_ENTITY_ID_FIELD": RecBoleOption(idle=_GRAPHS),
    "RELATION_ID_FIELD": RecBoleOption(idle=_GRAPHS),
    "ENTITY_ID_FIELD": RecBoleOption(idle=_GRAPHS),
    "alias_of_entity_id": RecBoleOption(idle=_GRAPHS),
    "alias_of_relation_id": RecBoleOption(idle=_GRAPHS),
    "kg_reverse_r": RecBoleOption(Role.UNLISTED, idle=_GRAPHS),
    "entity_kg_num_interval": RecBoleOption(Role.UNLISTED, idle=_GRAPHS),
    "relation_kg_num_interval": RecBoleOption(Role.UNLISTED, idle=_GRAPHS),
    "dataset": RecBoleOption(Role.IN_MANIFEST),
    "eval_args": RecBoleOption(Role.IN_MANIFEST | Role.DECIDES_ROWS),
    "threshold": RecBoleOption(Role.IN_MANIFEST | Role.DECIDES_ROWS),
    "clip_grad_norm": RecBoleOption(Role.IN_MANIFEST),
    "MAX_ITEM_LIST_LENGTH": RecBoleOption(Role.IN_MANIFEST),
    "repeatable": RecBoleOption(Role.IN_MANIFEST | Role.DECIDES_ROWS),
    "normalize_all": RecBoleOption(Role.IN_MANIFEST),
    "normalize_field": RecBoleOption(Role.IN_MANIFEST),
    "transform": RecBoleOption(Role.IN_MANIFEST),
    "metrics": RecBoleOption(Role.DECIDES_ROWS),
    "valid_metric": RecBoleOption(Role.DECIDES_ROWS),
    "topk": RecBoleOption(Role.DECIDES_ROWS),
    "load_col": RecBoleOption(Role.DECIDES_ROWS),
    "unload_col": RecBoleOption(Role.DECIDES_ROWS),
    "benchmark_filename": RecBoleOption(Role.DECIDES_ROWS | Role.UNLISTED),
    "val_interval": RecBoleOption(Role.DECIDES_ROWS),
    "user_inter_num_interval": RecBoleOption(Role.DECIDES_ROWS),
    "item_inter_num_interval": RecBoleOption(Role.DECIDES_ROWS),
    "filter_inter_by_user_or_item": RecBoleOption(Role.DECIDES_ROWS),
    "rm_dup_inter": RecBoleOption(Role.DECIDES_ROWS),
    "data_path": RecBoleOption(Role.MAY_CHANGE | Role.DECIDES_ROWS),
    "metric_decimal_place": RecBoleOption(Role.DECIDES_ROWS),
    "USER_ID_FIELD": RecBoleOption(Role.DECIDES_ROWS),
    "ITEM_ID_FIELD": RecBoleOption(Role.DECIDES_ROWS),
    "RATING_FIELD": RecBoleOption(Role.DECIDES_ROWS),
    "LABEL_FIELD": RecBoleOption(Role.DECIDES_ROWS),
    "use_gpu": RecBoleOption(Role.MAY_CHANGE | Role.SAYS_WHERE),
    "gpu_id": RecBoleOption(Role.MAY_CHANGE | Role.SAYS_WHERE),
    "worker": RecBoleOption(Role.PASSED_OVER | Role.SAYS_WHERE | Role.UNLISTED),
    "checkpoint_dir": RecBoleOption(Role.PASSED_OVER | Role.SAYS_WHERE),
    "save_dataset": RecBoleOption(Role.PASSED_OVER | Role.SAYS_WHERE),
    "dataset_save_path": RecBoleOption(Role.PICKLE | Role.SAYS_WHERE),
    "save_dataloaders": RecBoleOption(Role.PASSED_OVER | Role.SAYS_WHERE),
    "dataloaders_save_path": RecBoleOption(Role.PICKLE | Role.SAYS_WHERE),
    "eval_batch_size": RecBoleOption(Role.SAYS_WHERE),
    "state": RecBoleOption(Role.SAYS_WHERE),
    "reproducibility": RecBoleOption(Role.UNLISTED),
    "numerical_features": RecBoleOption(Role.UNLISTED),
    "encoding": RecBoleOption(Role.UNLISTED),
    "additional_feat_suffix": RecBoleOption(Role.UNLISTED),
    "discretization": RecBoleOption(Role.UNLISTED),
}
"""A test compares the idle ones with what a run reads."""

IDLE: Mapping[str, str] = {name: found.idle for name, found in RECBOLE_OPTIONS.items() if found.idle}
"""Options without effect -> why, or what to use instead."""


def recbole_names(role: Role) -> frozenset[str]:
    """RecBole's options that have a role."""
    return frozenset(name for name, found in RECBOLE_OPTIONS.items() if role in found.roles)
