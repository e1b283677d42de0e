"""Many copies of a network: their parameters and buffers, stacked.

Letters: K cells of the chunk, P parameters of one cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape_study.study.tasks.task import as_precise

Tensors = dict[str, Tensor]

ALIGNMENT = 2  # numbers: a parameter begins where it can be viewed as complex numbers


class Ensemble:
    """K copies of a network: stacked parameters and buffers, all starting from the same values.

    Attributes:
        theta: all parameters, flat, [K, P]; what optimizers update in place. Each begins at an
            even place: behind an odd number of values stands a 0 that nothing moves.
        widths: how many columns of `theta` each parameter takes.
        buffers: by name, [K, …], updated by training; frozen parameters (`requires_grad` False)
            are among them, since no step touches them.
    """

    def __init__(self, network: nn.Module, cells: int, device: str, dtype: torch.dtype) -> None:
        self.network = as_precise(network, device, dtype)
        everything = dict(self.network.named_parameters())
        named = {name: p.detach() for name, p in everything.items() if p.requires_grad}
        frozen = {name: p.detach() for name, p in everything.items() if not p.requires_grad}
        kinds = {p.dtype for p in named.values()}
        if kinds != {dtype}:
            raise TypeError(f"parameters of kind {', '.join(map(str, kinds))}, not {dtype}")
        self.shapes = {name: p.shape for name, p in named.items()}
        self.widths = [-(-s.numel() // ALIGNMENT) * ALIGNMENT for s in self.shapes.values()]
        rows = [p.expand(cells, *p.shape) for p in named.values()]
        self.theta = self.flat(rows).clone()
        self.buffers: Tensors = {
            name: b.detach().expand(cells, *b.shape).clone()
            for name, b in self.network.named_buffers()
        }
        self.buffers |= {name: p.expand(cells, *p.shape) for name, p in frozen.items()}
        self.frozen = frozenset(frozen)

    def moving(self) -> Tensors:
        """The buffers that training may change."""
        return {name: b for name, b in self.buffers.items() if name not in self.frozen}

    def parameters(self, theta: Tensor) -> Tensors:
        """Views into flat parameters [K, P] by name, [K, …]."""
        parts = theta.split(self.widths, dim=1)
        return {
            name: part[:, : shape.numel()].view(len(theta), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def flat(self, parts: list[Tensor]) -> Tensor:
        """What belongs to each parameter, [K, …], in one row a cell, [K, P]."""
        rows = [part.reshape(len(part), -1) for part in parts]
        return torch.cat(
            [
                row if row.shape[1] == width else functional.pad(row, (0, width - row.shape[1]))
                for row, width in zip(rows, self.widths, strict=True)
            ],
            dim=1,
        )
