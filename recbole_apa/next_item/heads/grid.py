"""States of the language model as whole numbers, so that sums over them are exact.

A sum of floats depends on its order, and what was added cannot be taken out again. A sum of whole numbers below 2^53 is
exact in float64 in any order, on any number of threads, and a part of it can be subtracted in every bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

ONE = 128
"""What 1 is on the grid."""
GREATEST = 32 * ONE
"""States beyond 32 standard deviations are cut off there."""


@dataclass(frozen=True)
class StateGrid:
    """How states are centred, scaled and rounded: by constants of public item texts, in which no user has a part."""

    centre: Tensor
    """(d,), float64."""
    scale: Tensor
    """(d,), float64, above 0."""

    @classmethod
    def of_texts(cls, states: Tensor) -> "StateGrid":
        """From the states after public texts: (n, d), n at least 2.

        Raises:
            ValueError: fewer than two states.
        """
        if len(states) < 2:
            raise ValueError(f"found {len(states)} states to scale by, expected at least 2")
        values = states.double()
        scale = values.std(0)
        return cls(values.mean(0), torch.where(scale > 0, scale, torch.ones_like(scale)))

    def on_grid(self, states: Tensor) -> Tensor:
        """(n, d), float -> (n, d + 1), int16; the last column is :data:`ONE`."""
        units = ((states.double() - self.centre) / self.scale * ONE).round().clamp(-GREATEST, GREATEST)
        return torch.cat([units, units.new_full((len(units), 1), ONE)], 1).to(torch.int16)


def as_numbers(on_grid: Tensor) -> Tensor:
    """(n, d + 1), int16 -> the same in standard deviations, float64."""
    return on_grid.double() / ONE
