"""All cells in one graph of plain operations, traced once and replayed or compiled."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import vmap

from study.engines.base import Engine
from study.engines.ensemble import Ensemble, Tensors
from study.engines.formulas import OwnFormulas
from study.engines.program import Program
from study.pairs import TensorFunction
from study.tasks.task import TaskProtocol


class CapturedEngine(Engine):
    """Traces one step and one test batch of each size, and replays them.

    What Python decides while it is traced is decided for ever: `check.why_not` compares what is
    replayed with the vmapped network before anybody trusts it.
    """

    traced = True
    compiled = False

    def __init__(self, ensemble: Ensemble, task: TaskProtocol) -> None:
        super().__init__(ensemble, task)
        self._gradient = self.program(self._trace_gradient)
        self._scores = self.program(self._trace_scores)

    def program(self, function: TensorFunction) -> TensorFunction:  # noqa: D102
        return Program(function, compiled=self.compiled)

    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        e = self.ensemble
        gradients, losses = self._gradient(e.theta, inputs, targets, *e.buffers.values())
        return gradients, losses

    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:  # noqa: D102
        e = self.ensemble
        found = self._scores(e.theta, inputs, targets, *e.buffers.values())
        return dict(zip(self.metrics, found, strict=True))

    def _trace_gradient(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradients [K, P] of the summed loss, which are the cells' own, and losses [K]."""
        e = self.ensemble
        named = dict(zip(e.buffers, buffers, strict=True))
        with torch.enable_grad():
            leaves = {n: p.detach().requires_grad_() for n, p in e.parameters(theta).items()}
            with OwnFormulas():
                losses, moved = vmap(
                    self.cell_loss, in_dims=(0, 0, None, None), randomness="same"
                )(leaves, named, inputs, targets)
            found = torch.autograd.grad(
                losses.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True
            )
        for name, buffer in named.items():
            if moved[name] is not buffer:
                buffer.copy_(moved[name].detach())
        return torch.cat([g.flatten(1) for g in found], dim=1), losses.detach()

    def _trace_scores(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        e = self.ensemble
        named = dict(zip(e.buffers, buffers, strict=True))
        with OwnFormulas():
            outputs = vmap(self.cell_outputs, in_dims=(0, 0, None), randomness="same")(
                e.parameters(theta), named, inputs
            )
        losses = vmap(self.task.loss, in_dims=(0, None))(outputs, targets)
        return self.sums(outputs, losses, targets)


class CompiledEngine(CapturedEngine):
    """The same graphs, compiled for this machine by PyTorch's inductor."""

    compiled = True
