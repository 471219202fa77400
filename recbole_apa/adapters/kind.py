"""What a kind of adapter is, and the kinds by name; others register theirs beside them.

One class owns all that is special to a kind: its layer, how PEFT's files hold it, and how it is trained.
Shapes: b batch, t tokens, k shards.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from recbole_apa.adapters.mixture import Mixture
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry, require
from recbole_apa.core.settings import AdapterSettings, TrainSettings


class _Parameters(TypedDict):
    params: list[nn.Parameter]


class ParameterGroup(_Parameters, total=False):
    """What an optimiser of torch takes as one group; without ``lr`` it has the rate of the others."""

    lr: float


class StackedLayer(nn.Module, ABC):
    """A frozen linear layer with K adapters, mixed with weights of its own for every sample.

    Args:
        base: the frozen layer.
        mixture: shared with the other layers of the model.
    """

    def __init__(self, base: nn.Linear, mixture: Mixture) -> None:
        super().__init__()
        self.base, self.mixture = base, mixture

    @property
    @abstractmethod
    def stacked(self) -> tuple[nn.Parameter, ...]:
        """What an adapter consists of here, for all adapters: (k, ...) each."""

    @abstractmethod
    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One adapter's numbers from which every adapter of a run is trained, (...) each; they change nothing yet."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d_in) -> (b, t, d_out), mixed as ``mixture`` says; where its weights are None, the frozen layer alone.
        ``mixture.checked(b, k)`` gives the weights, (b, k)."""

    @property
    def n_adapters(self) -> int:
        """k."""
        return self.stacked[0].shape[0]


class AdapterKind(ABC):
    """One kind of adapter."""

    name: ClassVar[str]
    """The value of the option ``adapter_type``."""
    tensors: ClassVar[Mapping[str, tuple[str, ...]]]
    """How names of tensors end in ``adapter_model.safetensors``, in the order of a layer's ``stacked``, with a name for
    each dimension that they have there."""
    has_factors: ClassVar[bool] = False
    """Whether ``use_rslora``, ``lora_dropout`` and ``loraplus_lr_ratio`` mean something; else they are refused."""

    @abstractmethod
    def layer(
        self, base: nn.Linear, n_adapters: int, mixture: Mixture, settings: AdapterSettings, name: str
    ) -> StackedLayer:
        """The layer that takes the place of a frozen one.

        Args:
            name: of the frozen layer, in full.
        """

    @abstractmethod
    def peft_config(
        self, settings: AdapterSettings, names: Sequence[str], layers: Sequence[int] | None
    ) -> dict[str, object]:
        """What ``adapter_config.json`` says, ``peft_type`` and ``target_modules`` among it.

        Args:
            names: of the layers that carry adapters, in full.
            layers: their numbers; None means all.
        """

    def to_peft(self, name: str, parts: tuple[Tensor, ...], settings: AdapterSettings) -> tuple[Tensor, ...]:
        """One layer's numbers as the file holds them.

        Args:
            name: of the layer, in full.
        """
        return parts

    def from_peft(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One layer's numbers as the bank holds them, of what the file holds.

        Raises:
            ValueError: they are none, in words that go on after "the factors of a layer".
        """
        return parts

    def parameter_groups(self, parameters: list[nn.Parameter], settings: TrainSettings) -> list[ParameterGroup]:
        """What the optimiser trains.

        Args:
            parameters: of all layers in turn, each layer's in the order of its ``stacked``.
        """
        return [{"params": parameters}]


ADAPTER_KINDS: Registry[AdapterKind] = Registry("adapter_type")
K = TypeVar("K", bound=type[AdapterKind])


def register_adapter_kind(cls: K) -> K:
    """Make a kind known by its ``name``; stands as a decorator above the class.

    Raises:
        SettingsError: the name is taken, or the class lacks something, or reads another way than a kind whose files
            cannot be told from its own.
    """
    require(cls, AdapterKind, name=str, tensors=Mapping, has_factors=bool)
    for other in ADAPTER_KINDS.values():
        if set(other.tensors) == set(cls.tensors) and other.from_peft is not cls.from_peft:
            raise SettingsError(
                f"{cls.__qualname__}: its tensors end in {', '.join(cls.tensors)}, as those of {other.name}; expected "
                f"the from_peft of {other.__qualname__}, or other endings"
            )
    ADAPTER_KINDS.add(cls.name, cls)
    return cls


def adapter_problems(values: Mapping[str, object]) -> list[str]:
    """What is wrong with the option ``adapter_type``, and those that do not go with it, in words.

    Args:
        values: all options by name; those of a wrong type are left to whoever looks at types.
    """
    name = values.get("adapter_type")
    if not isinstance(name, str):
        return []
    problem = ADAPTER_KINDS.problem(name)
    if problem or ADAPTER_KINDS[name].has_factors:
        return [problem] if problem else []
    out = []
    if values.get("use_rslora") or values.get("lora_dropout"):
        out.append(f"adapter_type: {name} has no factors; use_rslora and lora_dropout need adapter_type: lora")
    if values.get("loraplus_lr_ratio", 1) != 1:
        out.append("loraplus_lr_ratio: LoRA+ is about LoRA's two factors; use adapter_type: lora")
    return out
