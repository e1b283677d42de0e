"""Cell after cell, in a plain loop: for what vmap cannot do, and for large networks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from study.engines.base import Engine, rewound_random_state
from study.engines.ensemble import Tensors


class OneByOneEngine(Engine):
    """The same results as of the other engines, in the time that a plain loop takes."""

    def _each_cell(self) -> Iterator[tuple[Tensors, Tensors]]:
        """Parameters and buffers of each cell; every cell draws the same random numbers."""
        e = self.ensemble
        parameters = e.parameters(e.theta)
        with rewound_random_state(e.theta.device) as rewind:
            for k in range(len(e.theta)):
                rewind()
                cell = {name: p[k] for name, p in parameters.items()}
                yield cell, {name: b[k] for name, b in e.buffers.items()}

    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        gradients, losses = torch.zeros_like(self.ensemble.theta), []
        for k, (parameters, buffers) in enumerate(self._each_cell()):
            leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            loss, moved = self.cell_loss(leaves, buffers, inputs, targets)
            found = torch.autograd.grad(
                loss, list(leaves.values()), allow_unused=True, materialize_grads=True
            )
            for name, before in buffers.items():
                if moved[name] is not before:  # assigned anew rather than updated in place
                    before.copy_(moved[name].detach())
            gradients[k] = torch.cat([g.reshape(-1) for g in found])
            losses.append(loss.detach())
        return gradients, torch.stack(losses)

    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:  # noqa: D102
        outputs = torch.stack([self.cell_outputs(*cell, inputs) for cell in self._each_cell()])
        losses = torch.stack([self.task.loss(one, targets) for one in outputs])
        return dict(zip(self.metrics, self.sums(outputs, losses, targets), strict=True))
