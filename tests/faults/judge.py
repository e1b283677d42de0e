"""Whether the trial before a study and the witness after it catch what is wrong with an engine.

Letters: E epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from landscape_study.study.agreement.finding import Finding, Reference, find
from landscape_study.study.agreement.observation import Subject, excerpt
from landscape_study.study.pairs.options import Options
from landscape_study.study.running.witness import Curves, difference, rounding_unit
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import Task, own_copy
from landscape_study.study.training.checkpoint import State
from landscape_study.study.training.course import Training
from landscape_study.study.training.engines import ENGINES, Assignment, Programs, Referee
from landscape_study.study.training.engines.base import quiet_fallbacks
from tests.faults.fault import Fault
from tests.faults.subjects import CHUNKS

OPTIONS = Options()  # as most studies have them: in single precision
PAIRS = ("sgd", "adamw")
GRID = Grid(alpha=Axis(values=(1.0,)), lambda_=Axis(values=(0.0,)))  # nobody looks at it
LOSSES = ("train_loss", "test_loss")
SEED = 1
MIDDLE = 2  # steps into the epoch in the middle: where a training is interrupted
EARLY = 8  # a witness of little time trains this part of the epochs


@dataclass(frozen=True)
class Witness:
    """What the witness of one cell says.

    Attributes:
        why: the first difference; "" if there is none.
        soon: whether one that trains the first eighth of the epochs differs already.
        distance: the largest difference of a loss, relative.
    """

    why: str
    soon: bool
    distance: float


@dataclass(frozen=True)
class Verdict:
    """What is said of an engine: by the trial, and by the witness that each cell may be."""

    trial: Finding
    witnesses: tuple[Witness, ...]

    @property
    def tried(self) -> str:
        """Why the trial does not let the engine train, or not go on; "" if it does."""
        return self.trial.why_not or self.trial.no_checkpoint or ""

    @property
    def differing(self) -> list[Witness]:
        """Those that say that something is wrong."""
        return [witness for witness in self.witnesses if witness.why]

    @property
    def caught(self) -> bool:
        """By the trial, or by the witness of some cell."""
        return bool(self.tried or self.differing)


class Judge:
    """What is right for a task, against which engines are held.

    Args:
        chunks: of cells that are trained together, of each of two panels.
    """

    def __init__(self, task: Task, chunks: Sequence[Sequence[Cell]] = CHUNKS) -> None:
        self.task, self.chunks = task, chunks
        self.data: Data = task.data()
        self.subject = Subject(task, excerpt(self.data))
        self.panels = [
            Panel(pair=pair, epochs=task.epochs, normalized=True, grid=GRID) for pair in PAIRS
        ]

    @cached_property
    def reference(self) -> Reference:
        """Of the trial; complete, so that nothing of it is computed within a fault."""
        made = Reference(self.subject, OPTIONS)
        for seed, pair in enumerate(PAIRS):
            made.of(pair, seed, made.arithmetic)
        return made

    @cached_property
    def plain(self) -> list[tuple[Curves, Curves]]:
        """Each cell's curves by the referee, and those from weights that rounding has moved."""
        unit = rounding_unit(OPTIONS)
        return [
            (self._by_the_referee(panel, cell, 0.0), self._by_the_referee(panel, cell, unit))
            for panel in self.panels
            for chunk in self.chunks
            for cell in chunk
        ]

    def verdict(self, fault: Fault, engine: str) -> Verdict:
        """Of the engine with the fault."""
        if fault.shared:
            with fault.broken():
                return Judge(self.task, self.chunks).of(engine)
        _ = self.reference, self.plain
        with fault.broken():
            return self.of(engine, interrupted=fault.interrupted)

    def of(self, engine: str, *, interrupted: bool = False) -> Verdict:
        """Of the engine as it is now.

        Args:
            interrupted: whether the trainings that are recorded are, half-way.
        """
        trial = find(engine, self.subject, PAIRS, OPTIONS, self.reference)
        recorded = self._recorded(engine, interrupted)
        witnesses = (
            self._witness(ours, *plain) for ours, plain in zip(recorded, self.plain, strict=True)
        )
        return Verdict(trial, tuple(witnesses))

    def _witness(self, ours: Curves, exact: Curves, moved: Curves) -> Witness:
        examples, soon = len(self.data.test_targets), -(-self.task.epochs // EARLY)
        early = difference(ours, _first(soon, exact), _first(soon, moved), examples)
        distance = max(
            float(np.max(np.abs(ours[loss] - exact[loss]) / exact[loss])) for loss in LOSSES
        )
        return Witness(difference(ours, exact, moved, examples), bool(early), distance)

    def _recorded(self, engine: str, interrupted: bool) -> Iterator[Curves]:
        """Of each cell, as one worker would train all chunks."""
        programs = Programs()
        for panel in self.panels:
            for chunk in self.chunks:
                begin = partial(self._begin, engine, panel, chunk, programs)
                yield from _curves(_trained(begin, interrupted))

    def _by_the_referee(self, panel: Panel, cell: Cell, shaken: float) -> Curves:
        def begin() -> Training:
            training = self._begin("referee", panel, [cell], Programs())
            assert isinstance(training.engine, Referee)
            training.engine.shake(shaken)
            return training

        return _curves(_trained(begin))[0]

    def _begin(
        self, engine: str, panel: Panel, cells: Sequence[Cell], programs: Programs
    ) -> Training:
        dtype = getattr(torch, OPTIONS.precision)
        own = own_copy(self.task, "cpu", dtype)
        made = ENGINES[engine](Assignment(own, panel.pair, cells, OPTIONS), programs)
        return Training(made, self.data.to("cpu", dtype), panel, self.task.batch_size, SEED)


def _trained(begin: Callable[[], Training], interrupted: bool = False) -> Training:
    """The training at its end."""
    state = _state_half_way(begin) if interrupted else None
    with seeded(SEED), quiet_fallbacks():
        training = begin()
        if state is not None:
            training.restore(state)
        training.finish(_nothing, _nothing)
    return training


class _HalfWayError(Exception):
    """A training is where it is to be interrupted."""


def _state_half_way(begin: Callable[[], Training]) -> State:
    """Of the training, as a checkpoint gives it back."""

    def stop() -> None:
        if (training.epoch, training.step) == (training.epochs // 2, MIDDLE):
            raise _HalfWayError

    with seeded(SEED), quiet_fallbacks(), TemporaryDirectory() as folder:
        training, file = begin(), Path(folder, "state.pt")
        with suppress(_HalfWayError):
            training.finish(_nothing, stop)
        torch.save(training.state(), file)
        state: State = torch.load(file, weights_only=True)
    return state


def _nothing() -> None:
    """Nobody looks on."""


def _curves(training: Training) -> list[Curves]:
    """Of each cell by metric, [E]."""
    curves = training.recorder.curves
    return [{m: curve[k] for m, curve in curves.items()} for k in range(len(training.loss_sum))]


def _first(epochs: int, curves: Curves) -> Curves:
    """The first so many epochs of them."""
    return {metric: curve[:epochs] for metric, curve in curves.items()}
