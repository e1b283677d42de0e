"""All cells in one call, by torch.func.vmap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import vmap

from landscape_study.study.training.engines.base import Tensors
from landscape_study.study.training.engines.stacked import StackedEngine


class VmapEngine(StackedEngine):
    """Gradients and outputs of all cells at once, without rewriting the network.

    The gradient of the summed losses is that of each cell, since no cell sees another's
    parameters; taken outside of vmap it is faster than inside.
    """

    def gradient(  # noqa: D102
        self, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[bool]]:
        e = self.ensemble
        found = self.stacked_gradient(e.theta, inputs, targets, *e.buffers.values())
        gradients, losses, present = found
        return gradients, losses, self.which(inputs, present)

    def which(self, inputs: Tensor, present: Tensor) -> Sequence[bool]:
        """Which parameters have a gradient, of the tensor that says so."""
        found: Sequence[bool] = present.tolist()
        return found

    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:  # noqa: D102
        e = self.ensemble
        found = self.stacked_scores(e.theta, inputs, targets, *e.buffers.values())
        return {measure.name: one for measure, one in zip(self.measures, found, strict=True)}

    def stacked_gradient(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients [K, P] and losses [K] at `theta` [K, P]; moves the buffers in place.

        And which parameters have a gradient, on the CPU: the others' is 0.
        """
        named = dict(zip(self.ensemble.buffers, buffers, strict=True))
        with torch.enable_grad():
            parameters = self.ensemble.parameters(theta)
            leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            # randomness="same": one dropout mask for all, whatever the chunk's composition.
            losses, moved = vmap(self.cell_loss, in_dims=(0, 0, None, None), randomness="same")(
                leaves, named, inputs, targets
            )
            found = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        for name, buffer in named.items():
            if moved[name] is not buffer:  # assigned anew rather than updated in place
                buffer.copy_(moved[name].detach())
        every = zip(found, leaves.values(), strict=True)
        gradients = [torch.zeros_like(leaf) if g is None else g for g, leaf in every]
        present = torch.tensor([g is not None for g in found])
        return self.ensemble.flat(gradients), losses.detach(), present

    def stacked_scores(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        """Per measure of the task its sum over the batch, [K], at `theta` [K, P]."""
        named = dict(zip(self.ensemble.buffers, buffers, strict=True))
        outputs = vmap(self.cell_outputs, in_dims=(0, 0, None), randomness="same")(
            self.ensemble.parameters(theta), named, inputs
        )
        totals = (vmap(measure.total, in_dims=(0, None)) for measure in self.measures)
        return tuple(total(outputs, targets) for total in totals)
