"""Options of APANext as a frozen dataclass, one docstring per field; independent of RecBole.

Every field is one key of ``properties/model/APANext.yaml`` and one ``--key=value`` of the command line.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import Bounds, Checked, option
from recbole_apa.core.settings import GREATEST_SEED

ALONG_BEAMS = ("atspeed-s", "atspeed-r", "seq-kd")
"""Objectives of drafts that are aligned along beams; the others where users made their choices."""


@dataclass(frozen=True)
class NextItemSettings(Checked):
    """What decides the numbers of a run, besides the backbone and the rows."""

    history_length: int = field(metadata=option(bounds=Bounds(2)))
    """Items of a history that the language model reads in one pass."""
    n_shards: int = field(metadata=option(bounds=Bounds(1)))
    """K: users are divided into so many shards, each with a head of its own."""
    partition: Literal["semantic_user", "hashed_user"]
    """``semantic_user``: k-means on the mean of each user's states, with room for as many rows in each shard;
    ``hashed_user``: a hash of the user's name, which nobody else's rows decide."""
    head_ridge: float = field(metadata=option(bounds=Bounds(above=0)))
    """Penalty of a head's squared weights, for each row of its shard."""
    tau: float | Literal["auto"] = field(metadata=option(bounds=Bounds(0)))
    """Sharpness of a user's weights of the heads; 0: all count the same; ``auto`` chooses on validation rows."""
    n_neighbors: int | Literal["auto"] = field(metadata=option(bounds=Bounds(1)))
    """How many similar users of the validation rows decide the weights; ``auto`` likewise."""
    evidence: Literal["counts", "transitions", "none"]
    """``counts``: transitions and co-occurrence, fused with the heads; ``transitions``: transitions alone, of pairs
    that occur, for catalogues of any size; ``none``: heads alone."""
    seed: int = field(metadata=option(bounds=Bounds(0, most=GREATEST_SEED)))
    """Seed of the partition, of codes, and of adapters and the order in which they see users."""
    head_rows: Literal["all", "shown"] = "shown"
    """What heads learn from: ``all`` rows of the training period, the earlier ones read in further passes of
    ``MAX_ITEM_LIST_LENGTH`` items each; ``shown``: those of the one pass that also ends before the test target."""
    adapters: Literal["none", "titles", "codes"] = "none"
    """``titles``: each shard trains a LoRA adapter to write the titles of its users' next items; ``codes``: to write
    their codes, which are made of public item texts; ``none``: the language model stays as it is."""
    code_levels: int = field(default=3, metadata=option(bounds=Bounds(1, most=4)))
    """Levels of a code; items that share a code get one more."""
    code_size: int = field(default=64, metadata=option(bounds=Bounds(2)))
    """The most clusters of a level."""
    adapter_layers: int = field(default=8, metadata=option(bounds=Bounds(1)))
    """The topmost layers of the language model, which get adapters; those below are computed once a user."""
    adapter_rank: int = field(default=8, metadata=option(bounds=Bounds(1)))
    """Rank of an adapter; its scale is 2."""
    adapter_epochs: int = field(default=1, metadata=option(bounds=Bounds(1)))
    """Passes over a shard's users."""
    adapter_batch: int = field(default=4, metadata=option(bounds=Bounds(1)))
    """Users of one step, each with all of his training targets."""
    shard_slices: int = field(default=1, metadata=option(bounds=Bounds(1, most=99), expected="1 to 99"))
    """L: with adapters, a shard's users are cut into slices, by a hash of their names, and an adapter is trained on one
    through all epochs before the next; a request restarts it before the first slice that it changes."""
    adapter_learning_rate: float = field(default=2e-3, metadata=option(bounds=Bounds(above=0)))
    """Peak learning rate of AdamW: it rises over the first tenth of the steps, then falls linearly."""
    draft_kind: Literal["exit", "model"] = "exit"
    """With adapters: ``exit``: each shard's draft is an early exit below the adapters, one linear map; ``model``: a
    small model of its own, which reads items."""
    draft_objective: Literal["none", "atspeed-s", "atspeed-r", "word-kd", "seq-kd", "tvd"] = "none"
    """With adapters: by what each shard's draft is aligned with the shard's own adapter (AtSpeed's objectives);
    ``none``: an exit has the least squared error of its states, in closed form, and a model learns what the shard's
    users chose."""
    draft_beams: int = field(default=20, metadata=option(bounds=Bounds(1)))
    """Beams that an aligned draft has to contain."""
    draft_users: int = field(default=100, metadata=option(bounds=Bounds(1)))
    """Of each shard, how many users, drawn by a hash of their names, a draft is aligned on."""
    draft_epochs: int = field(default=20, metadata=option(bounds=Bounds(1)))
    """Passes over these users; of a model, before, over all users of the shard."""
    draft_learning_rate: float = field(default=1e-5, metadata=option(bounds=Bounds(above=0)))
    """Of an exit's map: peak learning rate of AdamW, as for adapters."""
    draft_model_size: int = field(default=32, metadata=option(bounds=Bounds(1)))
    """Of a model: numbers of each item."""
    draft_model_learning_rate: float = field(default=1e-3, metadata=option(bounds=Bounds(above=0)))
    """Of a model: peak learning rate of AdamW."""
    draft_student: float = field(default=0.0, metadata=option(bounds=Bounds(0, most=1)))
    """For objectives along beams: in what share of its users' turns a draft is aligned along beams of its own instead
    of the teacher's."""
    draft_true: float = field(default=0.0, metadata=option(bounds=Bounds(0, most=1)))
    """Likewise: in what share, drawn before the other, it is aligned where the user made his choices."""
    title_users: int = field(default=20, metadata=option(bounds=Bounds(0)))
    """With adapters: how many users, drawn by a hash of their names, the rows of titles or codes have. Ranking by
    them takes seconds a user."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shard_slices > 1 and self.adapters == "none":
            raise SettingsError(
                f"shard_slices: found {self.shard_slices} without adapters; sums of heads need no slices, a user is "
                "subtracted from them; expected adapters: titles or codes, or shard_slices: 1"
            )
        if self.draft_objective != "none" and self.adapters == "none":
            raise SettingsError(
                f"draft_objective: found {self.draft_objective} without adapters, which a draft is aligned with; "
                "expected adapters: titles or codes, or draft_objective: none"
            )
        if self.draft_kind == "model" and self.adapters == "none":
            raise SettingsError(
                "draft_kind: found model without adapters, for which it drafts; expected adapters: titles or codes, or "
                "draft_kind: exit"
            )
        shares = {"draft_student": self.draft_student, "draft_true": self.draft_true}
        for name, share in shares.items():
            if share and self.draft_objective not in ALONG_BEAMS:
                raise SettingsError(
                    f"{name}: found {share} with draft_objective: {self.draft_objective}, which aligns along no beams; "
                    f"expected 0, or one of {', '.join(ALONG_BEAMS)}"
                )

    @property
    def all_rows(self) -> bool:
        """Whether heads learn from rows before those of the last pass."""
        return self.head_rows == "all"

    @property
    def hashes_users(self) -> bool:
        """Whether users' names alone decide on their shards."""
        return self.partition == "hashed_user"

    def plain(self) -> dict[str, object]:
        """The fields as JSON stores them."""
        return asdict(self)
