"""Each cell's steps as machine code, one cell after the other.

Letters: K cells of the chunk, P parameters of one cell, S steps of a call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.pairs.meter import squares_of
from landscape_study.study.training.compiling.calls import (
    Argument,
    Call,
    of_both,
    of_cells,
    of_steps,
    run_all,
)
from landscape_study.study.training.engines.base import Assignment, Batch, Programs, Tensors
from landscape_study.study.training.engines.captured import CapturedEngine
from landscape_study.study.training.engines.cell_program import CellProgram

MOST, SECONDS = 64, 0.1  # steps of a call: how many, and how long it may take


class CompiledEngine(CapturedEngine):
    """Traces the step and the test of one cell, compiles them, and calls them for all cells.

    All steps of a call are done for one cell, then for the next. What there is no code for is
    captured.
    """

    fixed = False

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        super().__init__(assignment, programs)
        parts = self.options.accumulate
        gradient = self.gradient_name + ("" if parts == 1 else f" in {parts} parts")
        self._gradient_of_cell = CellProgram(self.cell_gradient, gradient, self.programs)
        self._scores_of_cell = CellProgram(self.cell_scores, "scores", self.programs)
        self._updates_of_cell: dict[tuple[bool, ...], CellProgram] = {}
        theta = self.ensemble.theta
        # What a cell's gradient gives, until the update of the same step takes it.
        present = torch.empty(len(self.ensemble.widths), dtype=torch.bool)
        between = (torch.empty_like(theta[0]), theta.new_empty(()), present)
        self._between = [Argument(tensor) for tensor in between]
        self._known: dict[torch.Size, tuple[bool, ...]] = {}  # by the inputs' shape

    def steps(self, batches: Sequence[Batch], loss_sum: Tensor) -> None:  # noqa: D102
        for some in _alike(batches):
            began = time.perf_counter()
            if not self._stepped(some, loss_sum):
                super().steps(some, loss_sum)
            fitting = SECONDS * len(some) / (time.perf_counter() - began)
            self.at_once = max(1, min(MOST, int(fitting)))

    def all_scores(self, batches: Sequence[Batch]) -> list[Tensors]:  # noqa: D102
        return [found for some in _alike(batches) for found in self._scored(some)]

    def _stepped(self, batches: Sequence[Batch], loss_sum: Tensor) -> bool:
        """Do the steps; False where there is no program that does."""
        self.note_orders(batches[0].inputs)
        gradient = self._gradients(batches)
        update = None if gradient is None else self._updates(batches, gradient, loss_sum)
        if gradient is None or update is None:
            return False
        run_all(len(self.ensemble.theta), len(batches), [gradient, update])
        return True

    def _gradients(self, batches: Sequence[Batch]) -> Call | None:
        own, common = self._tensors(), _stacked(batches)
        program = self._gradient_of_cell.on(_first(own), _first(common))
        if program is None:
            return None
        return Call(program, [*map(of_cells, own), *map(of_steps, common)], self._between)

    def _updates(self, batches: Sequence[Batch], gradient: Call, loss_sum: Tensor) -> Call | None:
        """By the gradients, of those parameters that have one."""
        optimizer, meter = self.optimizer, self.optimizer.meter
        present = self._reached(batches[0].inputs.shape, gradient)
        done = {t for t, there in zip(optimizer.steps, present, strict=True) if there}
        if len(done) != 1:  # none has a gradient, or one has none in some of the batches
            return None
        (before,) = done
        own = [self.ensemble.theta, optimizer.alpha, optimizer.lambda_, loss_sum]
        own += [*meter.tensors(), *optimizer.moments]
        numbers = self._numbers(batches, before)
        slope, loss, _ = self._between
        # They lie where those of every cell do, and yet are this cell's own.
        of_cell = [*_first(own), slope.tensor, loss.tensor]
        program = self._update_of_cell(present).on(of_cell, [numbers[0]])
        if program is None:
            return None
        optimizer.passed([batch.eta for batch in batches], present)
        return Call(program, [*map(of_cells, own), slope, loss, of_steps(numbers)])

    def _numbers(self, batches: Sequence[Batch], before: int) -> Tensor:
        """The numbers of the steps after so many, [S, …]: see `cell_update`."""
        optimizer = self.optimizer
        weighings = optimizer.weighings([batch.eta for batch in batches])
        rows = [
            (
                *(batch.eta, batch.lambda_scale, len(batch.targets), optimizer.meter.is_due(s)),
                *optimizer.corrections(before + 1 + s, weighing),
            )
            for s, (batch, weighing) in enumerate(zip(batches, weighings, strict=True))
        ]
        return self.ensemble.theta.new_tensor(rows)

    def _update_of_cell(self, present: tuple[bool, ...]) -> CellProgram:
        if present not in self._updates_of_cell:
            absent = [i for i, there in enumerate(present) if not there]
            self._updates_of_cell[present] = CellProgram(
                partial(self.cell_update, present),
                f"update of {self.assignment.pair} {self.options}, without {absent}",
                self.programs,
            )
        return self._updates_of_cell[present]

    def _reached(self, shape: torch.Size, gradient: Call) -> tuple[bool, ...]:
        """Which parameters have a gradient on such batches, which it says at each call."""
        if shape not in self._known:
            arguments = [Argument(one.tensor[:1].clone()) for one in gradient.arguments]
            with torch.random.fork_rng([]):
                run_all(1, 1, [replace(gradient, arguments=arguments)])
            self._known[shape] = tuple(self._between[2].tensor.tolist())
        return self._known[shape]

    def _tensors(self) -> list[Tensor]:
        """What a cell's outputs depend on, each [K, …]."""
        return [self.ensemble.theta, *self.ensemble.buffers.values()]

    def _scored(self, batches: Sequence[Batch]) -> list[Tensors]:
        own, common = self._tensors(), _stacked(batches)
        program = self._scores_of_cell.on(_first(own), _first(common))
        if program is None:
            return super().all_scores(batches)
        cells, steps = len(self.ensemble.theta), len(batches)
        found = [
            torch.empty((cells, steps, *shape), dtype=dtype)
            for shape, dtype in program.source.results
        ]
        arguments = [*map(of_cells, own), *map(of_steps, common)]
        run_all(cells, steps, [Call(program, arguments, [*map(of_both, found)])])
        names = [measure.name for measure in self.measures]
        return [dict(zip(names, (one[:, s] for one in found), strict=True)) for s in range(steps)]

    def cell_gradient(self, theta: Tensor, *more: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient [P] and loss at `theta` [P], and which parameters have one: others' is 0.

        Args:
            more: the cell's buffers, which are moved in place; inputs and targets.
        """
        *buffers, inputs, targets = more
        part = partial(self._cell_gradient, theta, buffers)
        gradient, loss, present = self.accumulated(part, inputs, targets)
        return gradient, loss, torch.tensor(present)

    def _cell_gradient(
        self, theta: Tensor, buffers: Sequence[Tensor], inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[bool]]:
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
        return torch.cat(parts), loss.detach(), [g is not None for g in found]

    def cell_update(self, present: Sequence[bool], *tensors: Tensor) -> tuple[()]:
        """Do the step of one cell by its gradient, and collect what it says, all in place.

        Args:
            present: which parameters have a gradient.
            tensors: of the cell, as `_updates` has them; the gradient, the loss, and the numbers
                of the step.
        """
        *own, slope, loss, numbers = tensors
        theta, alpha, lambda_, loss_sum, *own = (t[None] for t in own)
        g = slope[None]
        eta, lambda_scale, examples, due, *corrections = numbers.unbind()
        optimizer, before = self.optimizer, theta.clone()
        moments = own[len(own) - len(optimizer.moments) :]
        clip = optimizer.clip(g)
        rate, decay = optimizer.factors(eta, lambda_scale, alpha, lambda_)
        for part in self._ranges(present):
            optimizer.update_columns(part, [theta, g, *moments], rate, decay, clip, corrections)
        loss_sum += loss * examples
        squares, *clipped = own[: len(own) - len(moments)]
        moved = [before[:, part] - theta[:, part] for part in self._ranges(present)]
        squares += torch.where(due > 0, squares_of(g, torch.cat(moved, dim=1)), 0)
        for count, factor in zip(clipped, clip, strict=True):
            count += factor[0] < 1
        return ()

    def _ranges(self, present: Sequence[bool]) -> list[slice]:
        """Where the parameters that are present stand among the P, together where they may be."""
        found: list[slice] = []
        first = 0
        for width, there in zip(self.ensemble.widths, present, strict=True):
            own = slice(first, first + width)
            if there and found and found[-1].stop == first:
                found[-1] = slice(found[-1].start, own.stop)
            elif there:
                found.append(own)
            first = own.stop
        return found

    def cell_scores(self, theta: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """Per measure of the task its sum over the batch, at `theta` [P].

        Args:
            more: the cell's buffers; inputs and targets.
        """
        *buffers, inputs, targets = more
        named = dict(zip(self.ensemble.buffers, buffers, strict=True))
        outputs = self.cell_outputs(self._parameters(theta), named, inputs)
        return tuple(measure.total(outputs, targets) for measure in self.measures)

    def _parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Those of one cell by name."""
        return {name: p[0] for name, p in self.ensemble.parameters(theta[None]).items()}


def _alike(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches in their order, those together that have the same shapes."""
    for _, some in groupby(batches, lambda batch: (batch.inputs.shape, batch.targets.shape)):
        yield list(some)


def _stacked(batches: Sequence[Batch]) -> list[Tensor]:
    """Inputs [S, B, …] and targets [S, B, …]."""
    if len(batches) == 1:
        return [batches[0].inputs[None], batches[0].targets[None]]
    return [
        torch.stack([batch.inputs for batch in batches]),
        torch.stack([batch.targets for batch in batches]),
    ]


def _first(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor[0] for tensor in tensors]
