"""The interface of an adapter kind, and the kinds by name; others can register their own.

One class holds all that is specific to a kind: its layer, its form in PEFT's files, and how it is trained.
Shapes: b batch, t tokens, k shards.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from recbole_apa.adapters.mixture import Mixture
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry, is_ours, require
from recbole_apa.core.settings import AdapterSettings, TrainSettings


class _Parameters(TypedDict):
    params: list[nn.Parameter]


class ParameterGroup(_Parameters, total=False):
    """One parameter group of a torch optimiser; without ``lr`` it uses the default rate."""

    lr: float


class StackedLayer(nn.Module, ABC):
    """A frozen linear layer with K adapters, mixed with separate weights for every sample.

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
        """The tensors of all adapters in this layer: (k, ...) each."""

    @abstractmethod
    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The initial tensors of every adapter in a run, (...) each; they have no effect yet."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d_in) -> (b, t, d_out), mixed as ``mixture`` says; the frozen layer alone if its weights are None.
        ``mixture.checked(b, k)`` returns the weights, (b, k)."""

    @property
    def n_adapters(self) -> int:
        """k."""
        return self.stacked[0].shape[0]


class AdapterKind(ABC):
    """One kind of adapter."""

    name: ClassVar[str]
    """The value of the option ``adapter_type``."""
    tensors: ClassVar[Mapping[str, tuple[str, ...]]]
    """The endings of tensor names in ``adapter_model.safetensors``, in the order of a layer's ``stacked``, with a name
    for each dimension of the stored tensor."""
    has_factors: ClassVar[bool] = False
    """Whether ``use_rslora``, ``lora_dropout`` and ``loraplus_lr_ratio`` apply; else they are rejected."""

    @abstractmethod
    def layer(
        self, base: nn.Linear, n_adapters: int, mixture: Mixture, settings: AdapterSettings, name: str
    ) -> StackedLayer:
        """The layer that replaces a frozen one.

        Args:
            name: the full name of the frozen layer.
        """

    @abstractmethod
    def peft_config(
        self, settings: AdapterSettings, names: Sequence[str], layers: Sequence[int] | None
    ) -> dict[str, object]:
        """The content of ``adapter_config.json``, including ``peft_type`` and ``target_modules``.

        Args:
            names: the full names of the layers that carry adapters.
            layers: their numbers; None means all.
        """

    def to_peft(self, name: str, parts: tuple[Tensor, ...], settings: AdapterSettings) -> tuple[Tensor, ...]:
        """One layer's tensors in the form of the file.

        Args:
            name: the full name of the layer.
        """
        return parts

    def from_peft(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One layer's tensors in the form of the bank, from those in the file.

        Raises:
            ValueError: they are invalid; the message continues the phrase "the factors of a layer".
        """
        return parts

    def parameter_groups(self, parameters: list[nn.Parameter], settings: TrainSettings) -> list[ParameterGroup]:
        """The parameter groups for the optimiser.

        Args:
            parameters: those of all layers, each layer's in the order of its ``stacked``.
        """
        return [{"params": parameters}]


ADAPTER_KINDS: Registry[AdapterKind] = Registry(
    "adapter_type", {"lora": "recbole_apa.adapters.lora", "ia3": "recbole_apa.adapters.ia3"}
)
K = TypeVar("K", bound=type[AdapterKind])


def register_adapter_kind(cls: K) -> K:
    """Class decorator that registers a kind under its ``name``.

    Raises:
        SettingsError: the name is taken, the class is incomplete, or it reads its files differently from a kind with
            the same tensor names.
    """
    require(cls, AdapterKind, name=str, tensors=Mapping, has_factors=bool)
    # of our own some may not be registered yet
    for other in () if is_ours(cls) else ADAPTER_KINDS.values():
        if set(other.tensors) == set(cls.tensors) and other.from_peft is not cls.from_peft:
            raise SettingsError(
                f"{cls.__qualname__}: its tensors end in {', '.join(cls.tensors)}, like {other.name}'s; expected "
                f"the from_peft of {other.__qualname__}, or other endings"
            )
    ADAPTER_KINDS.add(cls.name, cls)
    return cls


def adapter_problems(values: Mapping[str, object]) -> list[str]:
    """Messages about the option ``adapter_type`` and options that conflict with it.

    Args:
        values: all options by name; values of the wrong type are reported elsewhere.
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
        out.append("loraplus_lr_ratio: LoRA+ needs LoRA's two factors; use adapter_type: lora")
    return out
