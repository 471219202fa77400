"""Options as frozen dataclasses, one docstring per field; knows no RecBole.

Every field is one key of ``properties/model/APA.yaml`` and one ``--key=value`` of the command line.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from recbole_apa.core.errors import SettingsError

T = TypeVar("T")
STATE_KEYS = (
    "backbone",
    "dtype",
    "quantization",
    "trunk_layers",
    "template",
    "prompt_template",
    "max_prompt_tokens",
    "item_text",
    "embedding",
    "embedding_pooling",
)
"""Settings on which the frozen states of a prompt depend."""
NOT_OFFERED = {
    "use_dora": "DoRA divides by the norm of the merged weight, and with a mixture for each sample that is a norm of a "
    "d_out x d_in matrix a sample; use use_rslora, or plain LoRA",
}
"""Options of PEFT that somebody may look for, and why they are not there."""


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name}: found {value!r}, expected one of {', '.join(allowed)}")


def _at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and value < least:
        raise SettingsError(f"{name}: found {value}, expected at least {least}")


def _more_than_0(name: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise SettingsError(f"{name}: found {value}, expected more than 0")


@dataclass(frozen=True)
class BackboneSettings:
    """The frozen language model and how it is run."""

    backbone: str
    """``smollm2-135m``, a folder, or a hub id such as ``meta-llama/Llama-2-7b-hf``."""
    dtype: str
    """``auto`` (bfloat16 where the machine computes in it, else float32), ``float32``, ``bfloat16``, ``float16``."""
    quantization: str | None
    """Frozen weights in fewer bits by bitsandbytes: ``int8`` or ``nf4`` (4 bits); null keeps ``dtype``."""
    attn_implementation: str | None
    """Passed to transformers: ``sdpa``, ``eager``, ``flash_attention_2``; null leaves it to transformers."""
    trust_remote_code: bool
    """Whether a hub repository may run its own code."""
    trunk_layers: int | float
    """Lower layers without adapters, computed once per prompt: a count, or a share below 1; 0 adapts all layers."""
    embedding: str
    """Where h comes from: ``trunk`` (states that are there anyway) or ``final`` (the paper; one more pass)."""
    embedding_pooling: str
    """``last`` prompt position, ``mean`` over all of them, or ``history``: the position before the target. Then all
    candidates of a list have the same weights, and ranking costs a fraction."""
    shared_prefixes: bool
    """Whether ranking reads what a user's candidates have in common once; the same as each alone within rounding."""
    forward_batch_size: int | None
    """Prompts per frozen pass; null takes 1 on a CPU and 32 on a GPU. Bit-exact forgetting needs 1: then no
    row's rounding depends on its neighbours."""

    def __post_init__(self) -> None:
        _choice("dtype", self.dtype, ("auto", "float32", "bfloat16", "float16"))
        if self.quantization is not None:
            _choice("quantization", self.quantization, ("int8", "nf4"))
        _choice("embedding", self.embedding, ("trunk", "final"))
        _choice("embedding_pooling", self.embedding_pooling, ("last", "mean", "history"))
        _at_least("trunk_layers", self.trunk_layers, 0)
        _at_least("forward_batch_size", self.forward_batch_size, 1)


@dataclass(frozen=True)
class PlacementSettings:
    """Where a backbone lies that one device cannot hold; decides nothing of what a run computes."""

    device_map: str | None = None
    """``auto`` and the like (accelerate): layers over all GPUs, what is left in main memory, then on disk; null puts
    all of it on ``device``."""
    max_memory: Mapping[int | str, int | str] | None = None
    """How much each may take, e.g. ``{0: 20GiB, cpu: 60GiB}``; null leaves it to accelerate."""
    offload_folder: str | None = None
    """Where weights go that are read from the disk; not needed for a safetensors folder."""
    gradient_checkpointing: bool = False
    """Keep each layer's input alone for the backward pass: less memory, a third more time."""


@dataclass(frozen=True)
class SampleSettings:
    """Which samples are made of the interactions."""

    protocol: str
    """``recbole`` (the split of ``eval_args``) or ``tallrec`` (the paper's: last 10,000 samples, 8:1:1)."""
    history_length: int
    """Interactions before the target that a prompt shows (RecBole's ``MAX_ITEM_LIST_LENGTH``)."""
    min_history: int
    """Fewest earlier interactions that a sample needs; TALLRec takes 10."""
    train_samples: int | None
    """Training samples drawn by hash of sample id (1,024 in the paper); null takes all."""
    valid_samples: int | None
    """Validation samples drawn likewise (500 in the paper); null takes all, 0 none (equal weights)."""
    test_samples: int | None
    """Test samples drawn likewise (1,000 in the paper); null takes all."""
    item_text: str
    """How an item is written: columns of the ``.item`` file in braces, e.g. ``{movie_title} ({release_year})``."""

    def __post_init__(self) -> None:
        _choice("protocol", self.protocol, ("recbole", "tallrec"))
        for name in ("history_length", "min_history", "train_samples", "test_samples"):
            _at_least(name, getattr(self, name), 1)
        _at_least("valid_samples", self.valid_samples, 0)


@dataclass(frozen=True)
class PromptSettings:
    """How a sample is put into words."""

    template: str
    """``list`` (default), ``list_count``, ``tallrec``, ``tallrec_alpaca``, or ``custom``."""
    prompt_template: Mapping[str, str] | None
    """The parts of a custom template (see ``recbole_apa.data.prompts.PromptTemplate``)."""
    max_prompt_tokens: int
    """Longer prompts lose history lines, oldest first; the target is never cut."""

    def __post_init__(self) -> None:
        _at_least("max_prompt_tokens", self.max_prompt_tokens, 16)
        if (self.template == "custom") != (self.prompt_template is not None):
            raise SettingsError(
                f"template is {self.template!r} and prompt_template is "
                f"{'given' if self.prompt_template is not None else 'missing'}; "
                "`template: custom` and `prompt_template` go together"
            )


@dataclass(frozen=True)
class PartitionSettings:
    """How training samples are divided into shards (paper, Algorithm 1)."""

    partition: str
    """``semantic`` (the paper) or ``random``; ``user``, ``item``, ``interaction`` (RecEraser's UBP, IBP, InBP),
    ``bekm``, ``blpa`` (GraphEraser's): these follow a collaborative model of the training rows."""
    partition_fit: str
    """What the centres of ``semantic`` are fitted to: ``samples`` (the paper), or ``items``, the public item texts
    alone: then forgetting under ``strict`` exactness moves few samples, because the centres stay."""
    n_shards: int | None
    """K; null where ``shard_size`` is given."""
    shard_size: int | None
    """Samples per shard (256 in the paper); K follows from it."""
    shard_capacity: int | None
    """t, the most samples a shard takes; null means ceil(N / K). For ``semantic`` and ``random`` alone: the others have
    their papers' capacities, which count users, items or nodes."""

    def __post_init__(self) -> None:
        if (self.n_shards is None) == (self.shard_size is None):
            raise SettingsError(
                f"n_shards is {self.n_shards} and shard_size is {self.shard_size}; give exactly one of them"
            )
        _choice("partition_fit", self.partition_fit, ("samples", "items"))
        if self.partition_fit == "items" and self.partition != "semantic":
            raise SettingsError(f"partition_fit: items needs partition: semantic, found {self.partition!r}")
        for name in ("n_shards", "shard_size", "shard_capacity"):
            _at_least(name, getattr(self, name), 1)


@dataclass(frozen=True)
class AdapterSettings:
    """LoRA (Hu et al., 2021) or (IA)3 (Liu et al., 2022), as in PEFT's ``LoraConfig`` and ``IA3Config``."""

    adapter_type: str
    """``lora``, or ``ia3``: a vector of scales a layer in place of two factors."""
    lora_rank: int
    """r."""
    lora_alpha: float
    """Numerator of the scale s = alpha / r."""
    use_rslora: bool
    """rsLoRA (Kalajdzievski, 2023): s = alpha / sqrt(r)."""
    lora_dropout: float
    """Dropout on the adapter's input while training."""
    target_modules: tuple[str, ...]
    """Linear layers that get an adapter, by last name, e.g. ``q_proj``."""
    feedforward_modules: tuple[str, ...]
    """Those of them whose input is scaled by (IA)3, and not their output."""

    def is_feedforward(self, layer: str) -> bool:
        """Whether a layer, by its full name, is one of these."""
        return layer.rsplit(".", 1)[-1] in self.feedforward_modules

    def __post_init__(self) -> None:
        _at_least("lora_rank", self.lora_rank, 1)
        _more_than_0("lora_alpha", self.lora_alpha)
        if not 0 <= self.lora_dropout < 1:
            raise SettingsError(f"lora_dropout: found {self.lora_dropout}, expected 0 <= lora_dropout < 1")
        if not self.target_modules:
            raise SettingsError("target_modules: found none, expected at least one name, e.g. [q_proj, v_proj]")


@dataclass(frozen=True)
class TrainSettings:
    """How each adapter is trained on its shard."""

    epochs: int
    """Passes over a shard."""
    learning_rate: float
    """Peak rate of AdamW."""
    loraplus_lr_ratio: float
    """LoRA+ (Hayou et al., 2024): how many times that rate B is trained with; 1 is plain LoRA."""
    train_batch_size: int
    """Samples per step of a shard."""
    fused_shards: int
    """Shards trained side by side in one batch, for a device that one shard's batch leaves idle; 1 trains them one
    after another. The same within rounding: bit-exact forgetting needs 1."""
    weight_decay: float
    """AdamW's decoupled decay."""
    lr_schedule: str
    """After the warm-up: ``linear`` or ``cosine`` to zero, or ``constant``."""
    warmup_ratio: float
    """Share of the steps in which the rate rises."""
    max_grad_norm: float | None
    """Gradients are scaled down to this norm; null leaves them."""
    answer_loss: str
    """``yes_no`` (over the two answers) or ``full`` (over the vocabulary; the paper)."""
    supervise: str
    """``all``: every answered line of the history too; ``target``: the target's answer alone (the paper)."""
    stopping_patience: int | None
    """Stop after so many epochs without a lower training loss; null trains all epochs. The rule sees the
    shard's own loss alone: a stop chosen on validation rows would make all adapters depend on each of them."""
    stopping_min_delta: float
    """How much lower counts as lower."""

    def __post_init__(self) -> None:
        _choice("lr_schedule", self.lr_schedule, ("linear", "cosine", "constant"))
        _choice("answer_loss", self.answer_loss, ("yes_no", "full"))
        _choice("supervise", self.supervise, ("all", "target"))
        for name in ("epochs", "train_batch_size", "fused_shards", "stopping_patience"):
            _at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "loraplus_lr_ratio", "max_grad_norm"):
            _more_than_0(name, getattr(self, name))
        for name in ("weight_decay", "stopping_min_delta"):
            _at_least(name, getattr(self, name), 0)
        if not 0 <= self.warmup_ratio <= 1:
            raise SettingsError(f"warmup_ratio: found {self.warmup_ratio}, expected 0 to 1")


@dataclass(frozen=True)
class AggregationSettings:
    """How adapters are merged for a sample (paper, formulas 6-8; DESIGN section 3)."""

    aggregation: str
    """``decomposition`` APA(D), ``non_decomposition`` APA(ND) or ``prediction`` (K passes, what SISA does)."""
    weight_rule: str
    """``sample_adaptive`` (the paper), ``average``, ``major`` or ``semantic``."""
    tau: float | str
    """Sharpness of the weights (1000 in the paper); ``auto`` chooses on validation data."""
    n_neighbors: int | str
    """n, validation samples looked up (20 for movies, 100 for books in the paper); ``auto`` likewise."""

    def __post_init__(self) -> None:
        _choice("aggregation", self.aggregation, ("decomposition", "non_decomposition", "prediction"))
        for name, least in (("tau", 0), ("n_neighbors", 1)):
            value = getattr(self, name)
            if isinstance(value, str):
                _choice(name, value, ("auto",))
            else:
                _at_least(name, value, least)


@dataclass(frozen=True)
class APASettings:
    """Everything that decides what a run computes."""

    seed: int
    backbone: BackboneSettings
    samples: SampleSettings
    prompts: PromptSettings
    partition: PartitionSettings
    adapters: AdapterSettings
    training: TrainSettings
    aggregation: AggregationSettings

    def __post_init__(self) -> None:
        if self.partition.partition_fit == "items" and self.backbone.embedding_pooling == "history":
            raise SettingsError(
                "partition_fit: items looks at item texts without a history, and embedding_pooling: history at nothing "
                "else; use embedding_pooling: last or mean"
            )
        if self.training.fused_shards > 1 and self.adapters.lora_dropout:
            raise SettingsError(
                f"fused_shards is {self.training.fused_shards} and lora_dropout {self.adapters.lora_dropout}; dropout "
                "is drawn for each shard by itself: use fused_shards: 1, or lora_dropout: 0"
            )

    def flat(self) -> dict[str, Any]:
        """All options under their keys, as in a YAML file."""
        out: dict[str, Any] = {"seed": self.seed}
        for group in GROUPS:
            out |= asdict(getattr(self, group))
        for name in ("target_modules", "feedforward_modules"):
            out[name] = list(out[name])
        if out["prompt_template"] is not None:
            out["prompt_template"] = dict(out["prompt_template"])
        return out


GROUPS: dict[str, type] = {
    "backbone": BackboneSettings,
    "samples": SampleSettings,
    "prompts": PromptSettings,
    "partition": PartitionSettings,
    "adapters": AdapterSettings,
    "training": TrainSettings,
    "aggregation": AggregationSettings,
}

PLACEMENT_KEYS: frozenset[str] = frozenset(f.name for f in fields(PlacementSettings))

SETTING_KEYS: frozenset[str] = frozenset(f.name for cls in GROUPS.values() for f in fields(cls)) | {"seed"}
