"""What the engines share that train all cells of a chunk at once, with stacked parameters.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from torch import Tensor
from torch.func import functional_call

from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.pairs.meter import Meter
from landscape_study.study.pairs.optimizer import PairOptimizer, TensorFunction
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.training.engines.base import (
    Assignment,
    Engine,
    Programs,
    State,
    Tensors,
)
from landscape_study.study.training.engines.drawing import Drawing, orders_of
from landscape_study.study.training.engines.ensemble import Ensemble
from landscape_study.study.training.engines.python_state import (
    object_state,
    python_state,
    set_object_state,
    set_python_state,
)
from landscape_study.study.training.hidden_weights import matrices_for

Gradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Sequence[bool]]]


class StackedEngine(Engine):
    """One network called with the parameters of K, and one optimizer for them all.

    Attributes:
        ensemble: their parameters and buffers.
    """

    optimizer: PairOptimizer

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        super().__init__(assignment, programs)
        cells, options = assignment.cells, assignment.options
        network = self.task.network()
        self.ensemble = Ensemble(network, len(cells), assignment.device, assignment.dtype)
        theta, pair = self.ensemble.theta, pair_called(assignment.pair)
        self.optimizer = PairOptimizer(
            pair,
            theta,
            theta.new_tensor([cell.alpha for cell in cells]),
            theta.new_tensor([cell.lambda_ for cell in cells]),
            options,
            decaying({name: len(shape) for name, shape in self.ensemble.shapes.items()}, options),
            self.ensemble.widths,
            matrices_for(pair, self.ensemble.network, self.ensemble.shapes),
            lambda update: self.program(update, f"update of {assignment.pair}", f" {options}"),
        )

    @abstractmethod
    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Sequence[bool]]:
        """Gradients [K, P], losses [K], which parameters have a gradient; moves the buffers."""

    def program(self, function: TensorFunction, name: str, variant: str = "") -> TensorFunction:
        """A function of tensors that may work in place, as fast as this engine can make it."""
        return function

    def train(self, training: bool) -> None:  # noqa: D102
        self.ensemble.network.train(training)
        self.optimizer.show(training)

    def step(  # noqa: D102
        self, inputs: Tensor, targets: Tensor, eta: float, lambda_scale: float
    ) -> Tensor:
        self.note_orders(inputs)
        gradients, losses, present = self.accumulated(self.gradient, inputs, targets)
        self.optimizer.step(gradients, eta, lambda_scale, present)
        return losses

    def note_orders(self, inputs: Tensor) -> None:
        """Look once in which order the network draws, before anything is traced."""
        if self.programs.orders is None:
            self.programs.orders = orders_of(self.ensemble.network, inputs)

    def accumulated(
        self, gradient: Gradient, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[bool]]:
        """What a function such as `gradient` gives, as the mean over the parts of the batch."""
        (some, wanted, share), *others = self.parts(inputs, targets)
        gradients, losses, present = gradient(some, wanted)
        if not others:
            return gradients, losses, present
        gradients, losses = gradients * share, losses * share
        for some, wanted, share in others:
            more, loss, there = gradient(some, wanted)
            gradients, losses = gradients + more * share, losses + loss * share
            present = [one or other for one, other in zip(present, there, strict=True)]
        return gradients, losses, present

    def cell_loss(
        self, p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Loss of one cell, and its buffers afterwards."""
        state = {**p, **b}
        outputs = self.called(state, inputs)
        return self.training_loss(outputs, targets), {name: state[name] for name in b}

    def cell_outputs(self, p: Tensors, b: Tensors, inputs: Tensor) -> Tensor:
        """Outputs [B, C] of one cell."""
        return self.called({**p, **b}, inputs)

    def called(self, state: Tensors, inputs: Tensor) -> Tensor:
        """The network's outputs [B, C], in the precision of its parameters."""
        orders = self.programs.orders or []
        # What is traced may lie in another order than the network's own activations.
        drawing = Drawing(orders) if orders or self.traced else nullcontext()
        with self.autocast(), drawing:
            outputs: Tensor = functional_call(
                self.ensemble.network, state, (self.laid_out(inputs),)
            )
        return outputs.to(self.ensemble.theta.dtype) if self.options.bf16 else outputs

    def parameters(self) -> Tensors:  # noqa: D102
        return self.ensemble.parameters(self.ensemble.theta)

    def buffers(self) -> Tensors:  # noqa: D102
        return self.ensemble.moving()

    def finite(self) -> Tensor:  # noqa: D102
        return self.ensemble.theta.sum(dim=1).isfinite()

    def weight_norm(self) -> Tensor:  # noqa: D102
        return self.ensemble.theta.norm(dim=1)

    def state(self) -> State:  # noqa: D102
        self.optimizer.show(True)
        return {
            "theta": self.ensemble.theta.cpu(),
            "buffers": {name: b.cpu() for name, b in self.ensemble.moving().items()},
            "optimizer": self.optimizer.state(),
            "network": python_state(self.ensemble.network),
            "loss": object_state(self.task.loss),
        }

    @classmethod
    def part(cls, state: State, cells: Sequence[int]) -> State:  # noqa: D102
        moments = [moment[cells] for moment in state["optimizer"]["moments"]]
        meter = Meter.part(state["optimizer"]["meter"], cells)
        return state | {
            "theta": state["theta"][cells],
            "buffers": {name: buffer[cells] for name, buffer in state["buffers"].items()},
            "optimizer": state["optimizer"] | {"moments": moments, "meter": meter},
        }

    def restore(self, state: State) -> None:  # noqa: D102
        self.ensemble.theta.copy_(state["theta"])
        for name, buffer in self.ensemble.moving().items():
            buffer.copy_(state["buffers"][name])
        self.optimizer.restore(state["optimizer"])
        set_python_state(self.ensemble.network, state["network"])
        set_object_state(self.task.loss, state["loss"])
