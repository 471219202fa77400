"""Names of options that no list of settings has."""

from recbole_apa.core.settings import PLACEMENT_KEYS

RUN_KEYS = PLACEMENT_KEYS | frozenset(
    {
        "model",
        "dataset",
        "config_files",
        "run",
        "run_dir",
        "key_file",
        "log_dir",
        "export_samples",
        "trunk_cache_gib",
        "keep_states",
        "variants",
        "workers",
        "plugins",
        "engine",
        "ray_address",
        "ray_cpus",
        "ray_gpus",
        "device",
        "show_progress",
    }
)
"""Options that say where and how, not what is computed."""

# read by RecBole's code but missing from its lists of arguments
RECBOLE_EXTRA = frozenset(
    {
        "worker",
        "shuffle",
        "reproducibility",
        "benchmark_filename",
        "numerical_features",
        "encoding",
        "eval_neg_sample_args",
        "loss_type",
        "additional_feat_suffix",
        "kg_reverse_r",
        "entity_kg_num_interval",
        "relation_kg_num_interval",
        "discretization",
        "nproc",
        "ip",
        "port",
        "world_size",
        "group_offset",
    }
)
