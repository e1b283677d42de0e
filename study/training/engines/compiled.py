"""Each cell's step as machine code, one cell after the other.

Letters: P parameters of one cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.pairs.optimizer import TensorFunction
from landscape_study.study.training.engines.base import Assignment, Programs
from landscape_study.study.training.engines.captured import CapturedEngine
from landscape_study.study.training.engines.cell_program import CellProgram

BATCH = frozenset({1, 2})  # which arguments are the batch, that all cells have in common


class CompiledEngine(CapturedEngine):
    """Traces the step and the test of one cell, compiles them, and calls them for all cells.

    What there is no code for is captured.
    """

    fixed = False

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        super().__init__(assignment, programs)
        self._cell_gradient = CellProgram(
            self.cell_gradient, "gradient", super().stacked_gradient, self.programs, BATCH
        )
        self._cell_scores = CellProgram(
            self.cell_scores, "scores", super().stacked_scores, self.programs, BATCH
        )

    def program(  # noqa: D102
        self, function: TensorFunction, name: str, variant: str = ""
    ) -> TensorFunction:
        def of_one(*tensors: Tensor) -> tuple[Tensor, ...]:
            rows = [tensor[None] if tensor.ndim else tensor for tensor in tensors]
            return tuple(found[0] for found in function(*rows))

        return CellProgram(of_one, name + variant, function, self.programs)

    def which(self, inputs: Tensor, present: Tensor) -> Sequence[bool]:  # noqa: D102
        return super().which(inputs, present if present.ndim == 1 else present[0])

    def stacked_gradient(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        gradients, losses, present = self._cell_gradient(theta, inputs, targets, *buffers)
        return gradients, losses, present

    def stacked_scores(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        return tuple(self._cell_scores(theta, inputs, targets, *buffers))

    def cell_gradient(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient [P] and loss at `theta` [P]; moves the buffers in place.

        And which parameters have a gradient: the others' is 0.
        """
        named = dict(zip(self.ensemble.buffers, buffers, strict=True))
        with torch.enable_grad():
            leaves = {n: p.detach().requires_grad_() for n, p in self._parameters(theta).items()}
            loss, moved = self.cell_loss(leaves, named, inputs, targets)
            found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for name, buffer in named.items():
            if moved[name] is not buffer:  # assigned anew rather than updated in place
                buffer.copy_(moved[name].detach())
        every = zip(found, leaves.values(), self.ensemble.widths, strict=True)
        parts = [
            functional.pad((torch.zeros_like(p) if g is None else g).flatten(), (0, n - p.numel()))
            for g, p, n in every
        ]
        present = torch.tensor([g is not None for g in found])
        return torch.cat(parts), loss.detach(), present

    def cell_scores(
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        """Per measure of the task its sum over the batch, at `theta` [P]."""
        named = dict(zip(self.ensemble.buffers, buffers, strict=True))
        outputs = self.cell_outputs(self._parameters(theta), named, inputs)
        return tuple(measure.total(outputs, targets) for measure in self.measures)

    def _parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Those of one cell by name."""
        return {name: p[0] for name, p in self.ensemble.parameters(theta[None]).items()}
