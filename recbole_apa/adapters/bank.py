"""Insert stacked adapters into a model, and copy their factors in and out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recbole_apa.adapters.kind import ADAPTER_KINDS, StackedLayer
from recbole_apa.adapters.mixture import MergeMode, Mixture
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.seeding import generator_for
from recbole_apa.core.settings import AdapterSettings

Factors = dict[str, tuple[Tensor, ...]]
"""One adapter: layer name -> its tensors there, e.g. LoRA's (A (r, d_in), B (d_out, r)); float32 on the CPU."""


class AdapterBank:
    """The stacked layers of one model, under the names that PEFT uses.

    Args:
        model: the frozen model; its target layers are replaced in place.
        layer_prefixes: prefixes of the names of layers to search, e.g. ``model.layers.22.``.
        settings: the target layers, by the last part of their names, and the adapters they get.

    Raises:
        BackboneError: the model has no linear layer with one of the names.
    """

    def __init__(
        self,
        model: nn.Module,
        layer_prefixes: Iterable[str],
        settings: AdapterSettings,
    ) -> None:
        self.model, self.settings = model, settings
        self.kind = ADAPTER_KINDS.find(settings.adapter_type)()
        self.mixture = Mixture()
        self.bases = _find_targets(model, tuple(layer_prefixes), settings.target_modules)
        self.layers: dict[str, StackedLayer] = {}
        self.resize(1)

    def resize(self, n_adapters: int) -> None:
        """Make room for ``n_adapters``, all zero."""
        for name, base in self.bases.items():
            layer = self.kind.layer(base, n_adapters, self.mixture, self.settings, name)
            layer.requires_grad_(False)
            layer.train(False)
            _replace(self.model, name, layer)
            self.layers[name] = layer

    def remove(self) -> None:
        """Put the frozen layers back: the model is as it was."""
        for name, base in self.bases.items():
            _replace(self.model, name, base)

    @property
    def n_adapters(self) -> int:
        """k."""
        return next(iter(self.layers.values())).n_adapters

    def start(self, seed: int) -> Factors:
        """The initial factors of every adapter in a run with this seed."""
        return {name: layer.start(generator_for(seed, "lora_A", name)) for name, layer in self.layers.items()}

    def load(self, index: int, factors: Mapping[str, tuple[Tensor, ...]]) -> None:
        """Copy one adapter's factors to position ``index``."""
        if set(factors) != set(self.layers):
            missing = sorted(set(self.layers) ^ set(factors))[:3]
            raise BackboneError(
                f"the adapter has {len(factors)} layers, the model {len(self.layers)}; "
                f"they differ in {', '.join(missing)}"
            )
        with torch.no_grad():
            for name, parts in factors.items():
                for stacked, part in zip(self.layers[name].stacked, parts, strict=True):
                    # copy_ would broadcast a single row
                    if stacked[index].shape != part.shape:
                        raise BackboneError(
                            f"the adapter of {name} has shape {tuple(part.shape)}, expected "
                            f"{tuple(stacked[index].shape)}"
                        )
                    stacked[index].copy_(part)

    def extract(self, index: int) -> Factors:
        """A copy of the factors at position ``index``."""
        return {
            name: tuple(stacked[index].detach().cpu().clone() for stacked in layer.stacked)
            for name, layer in self.layers.items()
        }

    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all layers, in a fixed order; each layer's in the order of its ``stacked``."""
        return [p for layer in self.layers.values() for p in layer.stacked]

    def parameters_of(self, index: int) -> list[nn.Parameter]:
        """Those of one position, parallel to :meth:`parameters`: separate parameters that share their values with the
        stacked ones, but not their gradients."""
        return [nn.Parameter(p.data[index]) for p in self.parameters()]

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for p in self.parameters():
            p.grad = None

    def train(self, on: bool) -> None:
        """Switch the adapters' gradients and dropout on or off."""
        for layer in self.layers.values():
            for stacked in layer.stacked:
                stacked.requires_grad_(on)
            layer.train(on)

    def mix(self, weights: Tensor | None, mode: MergeMode = "decomposition") -> None:
        """Set the weights, (b, k), for the next passes; None switches all adapters off."""
        self.mixture.weights, self.mixture.mode = weights, mode

    @contextmanager
    def mixed(self, weights: Tensor | None, mode: MergeMode = "decomposition") -> Iterator[None]:
        """Set the weights for passes inside the context; all adapters are off afterwards."""
        self.mix(weights, mode)
        try:
            yield
        finally:
            self.mix(None)


def _find_targets(model: nn.Module, prefixes: tuple[str, ...], targets: Sequence[str]) -> dict[str, nn.Linear]:
    inside = {name: module for name, module in model.named_modules() if name.startswith(prefixes)}
    found = {n: m for n, m in inside.items() if n.rsplit(".", 1)[-1] in targets and isinstance(m, nn.Linear)}
    missing = [t for t in targets if not any(n.rsplit(".", 1)[-1] == t for n in found)]
    if missing:
        linear = sorted({n.rsplit(".", 1)[-1] for n, m in inside.items() if isinstance(m, nn.Linear)})
        raise BackboneError(
            f"target_modules: the backbone has no linear layer named {', '.join(missing)}; "
            f"its layers are {', '.join(linear) or 'none that are torch.nn.Linear'}"
        )
    return found


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
