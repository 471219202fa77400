"""Options as frozen dataclasses, one docstring per field; independent of RecBole.

Every field is one key of ``properties/model/APA.yaml`` and one ``--key=value`` of the command line.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import Bounds, Checked, Says, Since, option

AVERAGED = "prediction"
"""The ``aggregation`` that averages the adapters' scores."""
GREATEST_SEED = 2**32 - 1
"""The largest seed that numpy accepts."""


@dataclass(frozen=True)
class BackboneSettings(Checked):
    """The frozen language model and how it is run."""

    backbone: str = field(metadata=option(Says.MAY_CHANGE | Says.KEYS_ACTIVATIONS))
    """``smollm2-135m``, a folder, or a hub id such as ``meta-llama/Llama-2-7b-hf``."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """``auto`` (bfloat16 if the hardware supports it, else float32), ``float32``, ``bfloat16``, ``float16``."""
    quantization: Literal["int8", "nf4"] | None = field(
        metadata=option(Says.KEYS_ACTIVATIONS, since=Since("0.1.0", before=None))
    )
    """Quantization of the frozen weights by bitsandbytes: ``int8`` or ``nf4`` (4 bits); null keeps ``dtype``."""
    attn_implementation: str | None
    """Passed to transformers: ``sdpa``, ``eager``, ``flash_attention_2``; null leaves it to transformers."""
    trust_remote_code: bool
    """Whether a hub repository may run its own code; has to be given again each time such a run is opened."""
    trunk_layers: int | float = field(metadata=option(Says.KEYS_ACTIVATIONS, bounds=Bounds(0)))
    """Lower layers without adapters, computed once per prompt: a count, or a share below 1; 0 adapts all layers."""
    embedding: Literal["trunk", "final"] = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """Where h comes from: ``trunk`` (activations computed anyway) or ``final`` (the paper; one more pass)."""
    embedding_pooling: Literal["last", "mean", "history"] = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """``last`` prompt position, ``mean`` over all of them, or ``history``: the position before the target. All
    candidates of a list then have the same weights, and ranking costs a fraction."""
    shared_prefixes: bool = field(metadata=option(since=Since("0.1.0", before=True)))
    """When ranking, compute the prompt prefix that a user's candidates share once; the same scores within rounding."""
    forward_batch_size: int | None = field(metadata=option(bounds=Bounds(1)))
    """Prompts per frozen pass; null means 1 on a CPU and 32 on a GPU. Bit-exact forgetting needs 1: then no row's
    rounding depends on the others in its batch."""
    skip_unread: bool = field(default=False, metadata=option(Says.ROUNDS_ALONE, since=Since("0.1.0", before=False)))
    """Leave out the last layer's feed-forward part at positions that nothing reads; the same scores within rounding."""


@dataclass(frozen=True)
class SampleSettings(Checked):
    """Which samples are made from the interactions."""

    protocol: Literal["recbole", "tallrec"] = field(metadata=option(Says.DECIDES_ROWS))
    """``recbole`` (the split of ``eval_args``) or ``tallrec`` (the paper's: last 10,000 samples, 8:1:1)."""
    history_length: int = field(metadata=option(bounds=Bounds(1)))
    """Interactions before the target that a prompt shows (RecBole's ``MAX_ITEM_LIST_LENGTH``)."""
    min_history: int = field(metadata=option(Says.DECIDES_ROWS, bounds=Bounds(1)))
    """Fewest earlier interactions that a sample needs; TALLRec uses 10."""
    train_samples: int | None = field(metadata=option(bounds=Bounds(1)))
    """Training samples drawn by hash of sample id (1,024 in the paper); null means all."""
    valid_samples: int | None = field(metadata=option(Says.DECIDES_ROWS, bounds=Bounds(0)))
    """Validation samples drawn likewise (500 in the paper); null means all, 0 none (equal weights)."""
    test_samples: int | None = field(metadata=option(Says.DECIDES_ROWS, bounds=Bounds(1)))
    """Test samples drawn likewise (1,000 in the paper); null means all."""
    item_text: str = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """How an item is written: columns of the ``.item`` file in braces, e.g. ``{movie_title} ({release_year})``."""
    draw_seed: int | None = field(
        default=None, metadata=option(Says.DECIDES_ROWS, bounds=Bounds(0), since=Since("0.1.0", before=None))
    )
    """Which samples are drawn, where not all are: null, the draw that every run has by default; any number, another
    one."""
    evidence_samples: int | None = field(default=0, metadata=option(bounds=Bounds(0), since=Since("0.1.0", before=0)))
    """Further rows of the validation period that evidence is fitted on: of users who have a validation sample, drawn
    likewise; null means all of theirs. The language model reads none of them."""


@dataclass(frozen=True)
class PromptSettings(Checked):
    """How a sample is written as a prompt."""

    template: str = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """``list`` (default), ``list_count``, ``tallrec``, ``tallrec_alpaca``, or ``custom``."""
    prompt_template: Mapping[str, str] | None = field(metadata=option(Says.KEYS_ACTIVATIONS))
    """The parts of a custom template (see ``recbole_apa.data.prompts.PromptTemplate``)."""
    max_prompt_tokens: int = field(metadata=option(Says.KEYS_ACTIVATIONS, bounds=Bounds(16)))
    """Longer prompts lose history lines, oldest first; the target is never cut."""
    history_offset: bool = field(default=False, metadata=option(since=Since("0.1.0", before=False)))
    """Add to the log odds of every answer, in training and scoring, those of the likes in the prompt's lines before it
    (one of each more than there are): the adapters learn what this rate leaves. Needs answered lines in the prompt."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.template == "custom") != (self.prompt_template is not None):
            raise SettingsError(
                f"template is {self.template!r} and prompt_template is "
                f"{'given' if self.prompt_template is not None else 'missing'}; "
                "`template: custom` and `prompt_template` go together"
            )


@dataclass(frozen=True)
class PartitionSettings(Checked):
    """How training samples are divided into shards (paper, Algorithm 1)."""

    partition: str
    """``semantic`` (the paper), ``semantic_user`` (the same on users, whose samples stay together: a person's request
    touches one shard) or ``random``; ``user``, ``item``, ``interaction`` (RecEraser's UBP, IBP, InBP),
    ``bekm``, ``blpa`` (GraphEraser's): these are based on a collaborative model of the training rows."""
    partition_fit: Literal["samples", "items"]
    """What the centres of ``semantic`` are fitted to: ``samples`` (the paper), or ``items``, the public item texts
    only: forgetting under ``strict`` exactness then moves few samples, because the centres do not change."""
    n_shards: int | None = field(metadata=option(bounds=Bounds(1)))
    """K; null if ``shard_size`` is given."""
    shard_size: int | None = field(metadata=option(bounds=Bounds(1)))
    """Samples per shard (256 in the paper); K follows from it."""
    shard_capacity: int | None = field(metadata=option(bounds=Bounds(1)))
    """t, the most samples a shard may have; null means ceil(N / K). Only for ``semantic``, ``random`` and
    ``semantic_user``, which may exceed it by less than one user's samples: the others use their papers' capacities,
    which count users, items or nodes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.n_shards is None) == (self.shard_size is None):
            raise SettingsError(
                f"n_shards is {self.n_shards} and shard_size is {self.shard_size}; give exactly one of them"
            )
        if self.partition_fit == "items" and self.partition != "semantic":
            raise SettingsError(f"partition_fit: items needs partition: semantic, found {self.partition!r}")


@dataclass(frozen=True)
class AdapterSettings(Checked):
    """LoRA (Hu et al., 2021) or (IA)3 (Liu et al., 2022), as in PEFT's ``LoraConfig`` and ``IA3Config``."""

    adapter_type: str = field(metadata=option(since=Since("0.1.0", before="lora")))
    """``lora``, or ``ia3``: one vector of scales per layer instead of two factors."""
    lora_rank: int = field(metadata=option(bounds=Bounds(1)))
    """r."""
    lora_alpha: float = field(metadata=option(bounds=Bounds(above=0)))
    """Numerator of the scale s = alpha / r."""
    use_rslora: bool = field(metadata=option(since=Since("0.1.0", before=False)))
    """rsLoRA (Kalajdzievski, 2023): s = alpha / sqrt(r)."""
    lora_dropout: float = field(metadata=option(bounds=Bounds(0, below=1)))
    """Dropout on the adapter's input during training."""
    target_modules: tuple[str, ...]
    """Linear layers that get an adapter, by the last part of their name, e.g. ``q_proj``."""
    feedforward_modules: tuple[str, ...] = field(metadata=option(since=Since("0.1.0", before=("down_proj",))))
    """Target modules whose input, rather than output, is scaled by (IA)3."""

    def is_feedforward(self, layer: str) -> bool:
        """Whether a layer, given by its full name, is one of ``feedforward_modules``."""
        return layer.rsplit(".", 1)[-1] in self.feedforward_modules

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target_modules:
            raise SettingsError("target_modules: found none, expected at least one name, e.g. [q_proj, v_proj]")


@dataclass(frozen=True)
class TrainSettings(Checked):
    """How each adapter is trained on its shard."""

    epochs: int = field(metadata=option(bounds=Bounds(1)))
    """Passes over a shard."""
    learning_rate: float = field(metadata=option(bounds=Bounds(above=0)))
    """Peak learning rate of AdamW."""
    loraplus_lr_ratio: float = field(metadata=option(bounds=Bounds(above=0), since=Since("0.1.0", before=1.0)))
    """LoRA+ (Hayou et al., 2024): B's learning rate as a multiple of ``learning_rate``; 1 is plain LoRA."""
    train_batch_size: int = field(metadata=option(bounds=Bounds(1)))
    """Samples per step of a shard."""
    fused_shards: int = field(metadata=option(bounds=Bounds(1), since=Since("0.1.0", before=1)))
    """Shards trained together in one batch, for a device that one shard's batch does not keep busy; 1 trains them one
    after another. The same within rounding: bit-exact forgetting needs 1."""
    shard_slices: int = field(
        metadata=option(bounds=Bounds(1, most=99), expected="1 to 99", since=Since("0.1.0", before=1))
    )
    """L: a shard's samples are cut into slices, each trained through all epochs before the next. A request restarts
    before the earliest slice that it affects; a user's slice depends on the user and the seed alone."""
    weight_decay: float = field(metadata=option(bounds=Bounds(0)))
    """AdamW's decoupled decay."""
    lr_schedule: Literal["linear", "cosine", "constant"]
    """After the warm-up: ``linear`` or ``cosine`` to zero, or ``constant``."""
    warmup_ratio: float = field(metadata=option(bounds=Bounds(0, most=1)))
    """Fraction of the steps over which the learning rate rises."""
    max_grad_norm: float | None = field(metadata=option(bounds=Bounds(above=0)))
    """Gradients are clipped to this norm; null does not clip."""
    answer_loss: Literal["yes_no", "full"]
    """``yes_no`` (over the two answers) or ``full`` (over the vocabulary; the paper)."""
    supervise: Literal["all", "target"]
    """``all``: every answered line of the history too; ``target``: the target's answer alone (the paper)."""
    stopping_patience: int | None = field(metadata=option(bounds=Bounds(1)))
    """Stop after this many epochs without a lower training loss; null trains all epochs. The rule sees only the
    shard's own loss: stopping on validation rows would make every adapter depend on each of them."""
    stopping_min_delta: float = field(metadata=option(bounds=Bounds(0)))
    """The smallest decrease that counts as a lower loss."""


@dataclass(frozen=True)
class AggregationSettings(Checked):
    """How adapters are merged for a sample (paper, section 3.3, formulas 6-8)."""

    aggregation: Literal["decomposition", "non_decomposition", "prediction"]
    """``decomposition`` APA(D), ``non_decomposition`` APA(ND) or ``prediction`` (K passes, as in SISA)."""
    weight_rule: str
    """``sample_adaptive`` (the paper), ``average``, ``major`` or ``semantic``."""
    tau: float | Literal["auto"] = field(metadata=option(bounds=Bounds(0)))
    """Sharpness of the weights (1000 in the paper); ``auto`` chooses it on validation data."""
    n_neighbors: int | Literal["auto"] = field(metadata=option(bounds=Bounds(1)))
    """n, validation samples looked up (20 for movies, 100 for books in the paper); ``auto`` likewise."""


@dataclass(frozen=True)
class APASettings(Checked):
    """Everything that decides what a run computes."""

    seed: int = field(
        metadata=option(bounds=Bounds(0, most=GREATEST_SEED), expected=f"a whole number from 0 to {GREATEST_SEED}")
    )
    """Seed of every random draw, order and initial weight."""
    backbone: BackboneSettings
    samples: SampleSettings
    prompts: PromptSettings
    partition: PartitionSettings
    adapters: AdapterSettings
    training: TrainSettings
    aggregation: AggregationSettings
    collaborative: CollaborativeSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.partition.partition_fit == "items" and self.backbone.embedding_pooling == "history":
            raise SettingsError(
                "partition_fit: items embeds item texts without a history, but embedding_pooling: history needs one; "
                "use embedding_pooling: last or mean"
            )
        if self.training.fused_shards > 1 and self.adapters.lora_dropout:
            raise SettingsError(
                f"fused_shards is {self.training.fused_shards} and lora_dropout {self.adapters.lora_dropout}; dropout "
                "is drawn for each shard separately: use fused_shards: 1, or lora_dropout: 0"
            )

    def flat(self) -> dict[str, Any]:
        """All options under their keys, as in a YAML file."""
        out: dict[str, Any] = {"seed": self.seed}
        for group in GROUPS:
            out |= asdict(getattr(self, group))
        for name in ("target_modules", "feedforward_modules", "evidence_columns", "evidence_models"):
            out[name] = None if out[name] is None else list(out[name])
        if out["prompt_template"] is not None:
            out["prompt_template"] = dict(out["prompt_template"])
        return out

    @property
    def validation_aggregation(self) -> str:
        """The aggregation of the adapters that validation samples are scored by when a state is made; another than
        the one that is served where evidence is fitted on averages."""
        return AVERAGED if self.collaborative.fits_averages else self.aggregation.aggregation


GROUPS: dict[str, type] = {
    "backbone": BackboneSettings,
    "samples": SampleSettings,
    "prompts": PromptSettings,
    "partition": PartitionSettings,
    "adapters": AdapterSettings,
    "training": TrainSettings,
    "aggregation": AggregationSettings,
    "collaborative": CollaborativeSettings,
}
