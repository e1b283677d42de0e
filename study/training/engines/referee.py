"""The referee: the plain loop that a user would write, for one network at a time.

It is the last engine, slow and right by construction: the network is called as it is, so that
hooks act, and what it keeps in buffers or in Python stays its own; `backward()` fills `.grad`,
and the update moves what has one. Every other engine is held against it (see `agreement.finding`).

Letters: P numbers in all parameters, B batch, C classes. K is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from landscape_study.study.pairs.decay_groups import decaying
from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.optimizer_arguments import Arguments
from landscape_study.study.pairs.registry import Pair, pair_called
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import dense
from landscape_study.study.tasks.task import as_precise
from landscape_study.study.training.engines.base import (
    Assignment,
    Engine,
    Programs,
    State,
    Tensors,
)
from landscape_study.study.training.engines.drawing import UnfusedDropout
from landscape_study.study.training.engines.python_state import (
    object_state,
    python_state,
    set_buffers,
    set_object_state,
    set_python_state,
)
from landscape_study.study.training.hidden_weights import matrices_for
from landscape_study.study.training.own_optimizer import OwnOptimizer


class Referee(Engine):
    """One cell in a plain loop.

    Attributes:
        network: in training.
        named: its parameters as they were when the training began, as an optimizer would hold
            them: whatever the network does to them or to itself.
        optimizer: of all their numbers, in one row, complex ones as pairs of real ones; or one
            such as torch's, of the parameters themselves.
    """

    optimizer: PairOptimizer | OwnOptimizer

    together = False

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        super().__init__(assignment, programs)
        (cell,) = assignment.cells
        self.network = as_precise(self.task.network(), assignment.device, assignment.dtype)
        self.named = dict(self.network.named_parameters())
        self.trained = frozenset(name for name, p in self.named.items() if p.requires_grad)
        self.optimizer = self._optimizer(pair_called(assignment.pair), cell)

    def _optimizer(self, pair: Pair, cell: Cell) -> PairOptimizer | OwnOptimizer:
        options = self.assignment.options
        if pair.is_optimizer:
            arguments = Arguments.of(self.assignment.arguments)
            return OwnOptimizer(pair, arguments, self.named, cell, options)
        theta = self._row(self._numbers())
        return PairOptimizer(
            pair,
            theta,
            theta.new_tensor([cell.alpha]),
            theta.new_tensor([cell.lambda_]),
            options,
            decaying({name: p.ndim for name, p in self.named.items()}, options),
            [numbers.numel() for numbers in self._numbers()],
            matrices_for(pair, self.network, self.named),
        )

    @torch.no_grad()
    def shake(self, unit: float, draw: int = 0) -> None:
        """Move each parameter up or down by this share of it: what rounding is held against.

        Which way is another in each `draw`.
        """
        coins = torch.Generator().manual_seed(draw)
        for numbers in self._numbers():
            if not numbers.is_floating_point():
                continue
            signs = 2 * torch.randint(2, numbers.shape, generator=coins) - 1
            numbers.mul_(1 + unit * signs.to(numbers))

    def train(self, training: bool) -> None:  # noqa: D102
        self.network.train(training)
        self._show(training)

    @torch.no_grad()
    def _show(self, stepping: bool) -> None:
        """Give the network the weights that steps are of, or those that tests are of."""
        optimizer = self.optimizer
        if isinstance(optimizer, OwnOptimizer):
            optimizer.train(stepping)
        elif optimizer.rule.averages:
            numbers = [*self._numbers()]
            optimizer.theta.copy_(self._row(numbers))
            optimizer.show(stepping)
            self._put(optimizer, numbers)

    def _put(
        self,
        optimizer: PairOptimizer,
        numbers: Sequence[Tensor],
        moved: Sequence[bool] | None = None,
    ) -> None:
        """The optimizer's numbers into the network's, or into some parameters' only."""
        parts = optimizer.theta.squeeze(0).split(optimizer.widths)
        for there, part, is_moved in zip(
            numbers, parts, moved or [True] * len(parts), strict=True
        ):
            if is_moved:
                there.copy_(part.view_as(there))

    def step(  # noqa: D102
        self, inputs: Tensor, targets: Tensor, eta: float, lambda_scale: float
    ) -> Tensor:
        for p in self.named.values():
            p.grad = None
        # The backward pass may compute activations anew, and must draw the same masks.
        total = torch.zeros(1, dtype=self.assignment.dtype, device=self.assignment.device)
        with torch.enable_grad(), self._drawing():
            for some, wanted, share in self.parts(inputs, targets):
                loss = share * self.training_loss(self._outputs(some), wanted)
                loss.backward()
                total += loss.detach()
        self._update(eta, lambda_scale)
        return total

    @torch.no_grad()
    def _update(self, eta: float, lambda_scale: float) -> None:
        """θ is read and written anew at each step: the network may have changed it meanwhile."""
        if isinstance(self.optimizer, OwnOptimizer):
            self.optimizer.step(eta, lambda_scale)
            return
        theta, numbers = self.optimizer.theta, list(self._numbers())
        theta.copy_(self._row(numbers))
        # A sparse gradient, as of an embedding, with its zeros: they decay and move by momentum.
        slopes = [p.grad for p in self.named.values()]
        gradient = self._row(
            torch.zeros_like(there) if slope is None else as_real(dense(slope))
            for there, slope in zip(numbers, slopes, strict=True)
        )
        present = [slope is not None for slope in slopes]
        self.optimizer.step(gradient, eta, lambda_scale, present)
        self._put(self.optimizer, numbers, present)

    @torch.no_grad()
    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:  # noqa: D102
        with self._drawing():
            outputs = self._outputs(inputs)
        return {one.name: one.total(outputs, targets).reshape(1) for one in self.measures}

    def _outputs(self, inputs: Tensor) -> Tensor:
        with self.autocast():
            outputs: Tensor = self.network(self.laid_out(inputs))
        return outputs.to(self.assignment.dtype) if self.options.bf16 else outputs

    def _drawing(self) -> AbstractContextManager[object]:
        """On a GPU, dropout as every engine can draw it."""
        on_gpu = self.assignment.device.startswith("cuda")
        return UnfusedDropout() if on_gpu else nullcontext()

    def _numbers(self) -> Iterator[Tensor]:
        """What the parameters are made of: real tensors that share their memory."""
        return (as_real(p.detach()) for p in self.named.values())

    def _row(self, parts: Iterator[Tensor] | Sequence[Tensor]) -> Tensor:
        """[1, P]."""
        return torch.cat([part.reshape(1, -1) for part in parts], dim=1).to(self.assignment.dtype)

    def parameters(self) -> Tensors:  # noqa: D102
        return {name: p.detach()[None] for name, p in self.named.items() if name in self.trained}

    def buffers(self) -> Tensors:  # noqa: D102
        return {name: dense(b.detach())[None] for name, b in self.network.named_buffers()}

    def finite(self) -> Tensor:  # noqa: D102
        sums = [as_real(p.detach()).sum() for n, p in self.named.items() if n in self.trained]
        return torch.stack(sums).sum().isfinite().reshape(1)

    def weight_norm(self) -> Tensor:  # noqa: D102
        return torch.stack([p.norm() for p in self.parameters().values()]).norm().reshape(1)

    def state(self) -> State:  # noqa: D102
        self._show(True)
        return {
            "parameters": {name: p.detach().cpu() for name, p in self.named.items()},
            "requires_grad": {name: p.requires_grad for name, p in self.named.items()},
            "buffers": {name: b.detach().cpu() for name, b in self.network.named_buffers()},
            "optimizer": self.optimizer.state(),
            "network": python_state(self.network),
            "loss": object_state(self.task.loss),
        }

    @torch.no_grad()
    def restore(self, state: State) -> None:  # noqa: D102
        for name, value in state["parameters"].items():
            self.named[name].copy_(value)
            self.named[name].requires_grad_(state["requires_grad"][name])
        set_buffers(self.network, state["buffers"])
        self.optimizer.restore(state["optimizer"])
        set_python_state(self.network, state["network"])
        set_object_state(self.task.loss, state["loss"])


def as_real(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, in the same memory."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
