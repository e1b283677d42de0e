"""Many copies of a network: their parameters and buffers, stacked.

Letters: K cells of the chunk, P parameters of one cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


class Ensemble:
    """K copies of a network: stacked parameters and buffers, all starting from the same values.

    Attributes:
        theta: all parameters, flat, [K, P]; what optimizers update in place.
        buffers: by name, [K, …], updated by training; frozen parameters (`requires_grad` False)
            are among them, since no step touches them.
    """

    def __init__(self, network: nn.Module, cells: int, device: str, dtype: torch.dtype) -> None:
        self.network = network.to(device, dtype)
        everything = dict(self.network.named_parameters())
        named = {name: p.detach() for name, p in everything.items() if p.requires_grad}
        frozen = {name: p.detach() for name, p in everything.items() if not p.requires_grad}
        self.shapes = {name: p.shape for name, p in named.items()}
        self.theta = torch.cat([p.reshape(-1) for p in named.values()]).repeat(cells, 1)
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
        parts = theta.split([shape.numel() for shape in self.shapes.values()], dim=1)
        return {
            name: part.view(len(theta), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def matrices_only(self) -> Tensor:
        """[P], 1 where a parameter has two or more dimensions, 0 for biases and norms."""
        kinds = [
            torch.full((shape.numel(),), float(len(shape) > 1)) for shape in self.shapes.values()
        ]
        return torch.cat(kinds).to(self.theta)
