"""All cells in one graph of plain operations, traced once and replayed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape_study.study.pairs.optimizer import TensorFunction
from landscape_study.study.training.engines.base import Assignment, Programs
from landscape_study.study.training.engines.formulas import OwnFormulas
from landscape_study.study.training.engines.program import Program
from landscape_study.study.training.engines.vmapped import VmapEngine


class CapturedEngine(VmapEngine):
    """Traces one step and one test batch of each size, and replays them.

    What Python decides while it is traced is decided for ever: `agreement.finding` holds what is
    replayed against the referee before anybody trusts it.
    """

    traced = fixed = True

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        super().__init__(assignment, programs)
        self._gradient = Program(super().stacked_gradient, self.gradient_name, self.programs)
        self._scores = Program(super().stacked_scores, "scores", self.programs)
        self._present: dict[torch.Size, Sequence[bool]] = {}

    def which(self, inputs: Tensor, present: Tensor) -> Sequence[bool]:
        """What is replayed does the same at each step: it is read once, for a GPU's sake."""
        if inputs.shape not in self._present:
            self._present[inputs.shape] = super().which(inputs, present)
        return self._present[inputs.shape]

    def program(  # noqa: D102
        self, function: TensorFunction, name: str, variant: str = ""
    ) -> TensorFunction:
        return Program(function, name + variant, self.programs)

    def stacked_gradient(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with OwnFormulas():  # seen by the tracing only
            gradients, losses, present = self._gradient(theta, inputs, targets, *buffers)
        return gradients, losses, present

    def stacked_scores(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        with OwnFormulas():
            return tuple(self._scores(theta, inputs, targets, *buffers))
