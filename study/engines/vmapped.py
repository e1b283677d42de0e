"""All cells in one call, by torch.func.vmap."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from study.engines.base import Engine
from study.engines.ensemble import Ensemble, Tensors
from study.tasks.task import TaskProtocol


class VmapEngine(Engine):
    """Gradients and outputs of all cells at once, without rewriting the network."""

    def __init__(self, ensemble: Ensemble, task: TaskProtocol) -> None:
        super().__init__(ensemble, task)
        # randomness="same": one dropout mask for all cells, whatever the chunk's composition.
        self._gradient = vmap(
            grad_and_value(self.cell_loss, has_aux=True),
            in_dims=(0, 0, None, None),
            randomness="same",
        )
        self._outputs = vmap(self.cell_outputs, in_dims=(0, 0, None), randomness="same")
        self._losses = vmap(task.loss, in_dims=(0, None))

    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        e = self.ensemble
        gradients, (losses, e.buffers) = self._gradient(
            e.parameters(e.theta), e.buffers, inputs, targets
        )
        return torch.cat([gradients[name].flatten(1) for name in e.shapes], dim=1), losses

    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:  # noqa: D102
        e = self.ensemble
        outputs = self._outputs(e.parameters(e.theta), e.buffers, inputs)
        losses = self._losses(outputs, targets)
        return dict(zip(self.metrics, self.sums(outputs, losses, targets), strict=True))
