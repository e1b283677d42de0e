"""All cells in one graph of plain operations, traced once and replayed or compiled."""

from __future__ import annotations

from torch import Tensor

from study.engines.base import Programs
from study.engines.ensemble import Ensemble
from study.engines.formulas import OwnFormulas
from study.engines.program import Program
from study.engines.vmapped import VmapEngine
from study.pairs import TensorFunction
from study.spec import Options
from study.tasks.task import TaskProtocol


class CapturedEngine(VmapEngine):
    """Traces one step and one test batch of each size, and replays them.

    What Python decides while it is traced is decided for ever: `check.why_not` compares what is
    replayed with the vmapped network before anybody trusts it.
    """

    traced = True
    compiled = False

    def __init__(
        self,
        ensemble: Ensemble,
        task: TaskProtocol,
        options: Options,
        programs: Programs | None = None,
    ) -> None:
        super().__init__(ensemble, task, options, programs)
        self._gradient = self.program(super().stacked_gradient, "gradient")
        self._scores = self.program(super().stacked_scores, "scores")

    def program(self, function: TensorFunction, name: str) -> TensorFunction:  # noqa: D102
        return Program(function, name, compiled=self.compiled, programs=self.programs)

    def stacked_gradient(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, Tensor]:
        with OwnFormulas():  # seen by the tracing only
            gradients, losses = self._gradient(theta, inputs, targets, *buffers)
        return gradients, losses

    def stacked_scores(  # noqa: D102
        self, theta: Tensor, inputs: Tensor, targets: Tensor, *buffers: Tensor
    ) -> tuple[Tensor, ...]:
        with OwnFormulas():
            return tuple(self._scores(theta, inputs, targets, *buffers))


class CompiledEngine(CapturedEngine):
    """The same graphs, compiled for this machine by PyTorch's inductor."""

    compiled = True
