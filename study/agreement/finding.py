"""Which engines train a task as the referee does: tried on a few steps before it is trained.

Two cells are trained for some short epochs on a few of the task's examples, in double precision
on the CPU: by the referee one after the other, and by the engine together. Losses, buffers and
parameters after each step, and all scores, must agree as far as rounding allows. How far that is,
the referee says itself, from start weights that one rounding unit has moved. On the way the engine
is stopped and goes on from a checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from landscape_study.study.agreement.observation import (
    Arithmetic,
    Observation,
    Seen,
    Subject,
    first_difference,
    observe,
    stacked,
)
from landscape_study.study.errors import TaskError, first_line
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import memory_of
from landscape_study.study.training.engines import ENGINES, Programs

STEEP = ("lion",)  # rules that make whole steps of gradients that are rounding errors
GENTLE = 1e-2  # ε of the trial, at least
CELLS = (Cell(0.05, 0.1), Cell(0.02, 0.01))
MILDER = 0.1  # what α is multiplied by where cells diverge
TRIES = 7  # to find an α at which none does
PATIENCE = 4.0  # seconds that the first observation may take
FEWER_EPOCHS = 2  # of the others, where it takes longer

DOUBLE = Arithmetic(Options(precision="float64"), unit=2**-52, floor=1e-9, ceiling=1e-3)
SINGLE = Arithmetic(Options(), unit=2**-23, floor=1e-3, ceiling=1e-1)
BF16 = Arithmetic(Options(bf16=True), 2**-8, floor=0.1, ceiling=math.inf, factor=10, epochs=1)


@dataclass(frozen=True)
class Finding:
    """What was found of an engine.

    Attributes:
        why_not: why it must not train the task; None if it may.
        no_checkpoint: why what it trains cannot go on from a checkpoint; None if it can.
    """

    why_not: str | None = None
    no_checkpoint: str | None = None


def find(
    engine: str, subject: Subject, pairs: Sequence[str], options: Options, reference: Reference
) -> Finding:
    """Whether the engine gives what the referee gives.

    Args:
        engine: one of `ENGINES`.
        pairs: of the study. Plain SGD is tried, which hides no factor of a gradient, and the
            first one of another rule, from another seed, but for those that are `STEEP`.
        options: of the study.
        reference: of the subject.
    """
    if engine == "referee":
        return Finding(None, reference.no_checkpoint)
    if ENGINES[engine].traced and reference.counters:
        names = ", ".join(f"`{name}`" for name in reference.counters)
        return Finding(f"{names} changes from step to step, which a captured graph would freeze")
    if reference.switched:
        names = ", ".join(f"`{name}`" for name in reference.switched)
        return Finding(f"training of {names} begins or ends on the way")
    no_checkpoint = reference.no_checkpoint if reference.unkept else None
    others = [pair for pair in pairs if pair_called(pair).rule not in ("sgd", *STEEP)]
    for arithmetic in reference.arithmetics(options):
        programs = Programs()  # what is traced for one seed's networks must do for the next
        # Adam makes large steps of small gradients, and so much of rough rounding.
        second = "sgd" if arithmetic.options.bf16 else (others or ["sgd"])[0]
        for seed, pair in enumerate(("sgd", second)):
            known = reference.of(pair, seed, arithmetic)
            difference = _difference(engine, subject, known, programs, interrupted=True)
            if difference is not None:
                no_checkpoint = difference
                difference = _difference(engine, subject, known, programs, interrupted=False)
            if difference is not None:
                return Finding(difference + reference.remark)
    return Finding(None, no_checkpoint)


@dataclass(frozen=True)
class Known:
    """What the referee gives for some cells, and gives with weights moved by a rounding unit."""

    pair: str
    seed: int
    cells: Sequence[Cell]
    arithmetic: Arithmetic
    exact: Sequence[Seen]
    moved: Sequence[Seen]


def _difference(
    engine: str, subject: Subject, known: Known, programs: Programs, *, interrupted: bool = False
) -> str | None:
    """What first differs from what is known, or what the engine fails with; None if nothing."""
    try:
        ours = observe(
            subject,
            engine,
            known.pair,
            known.cells,
            known.arithmetic,
            seed=known.seed,
            programs=programs,
            interrupted=interrupted,
        )
    except Exception as e:  # vmap and tracing raise many kinds
        return f"{type(e).__name__}: {first_line(e)}"
    return first_difference(ours.seen, known.exact, known.moved, known.arithmetic)


class Reference:
    """What the referee gives for a task.

    Attributes:
        counters: names of Python values of the network that change from step to step.
        unkept: those of them that no checkpoint holds.
        switched: names of parameters whose `requires_grad` changes.
        remark: what engines are likely to lose of this network.
        no_checkpoint: why the referee's trainings cannot go on from one; None if they can.

    Raises:
        TaskError: a plain loop fails, or does not repeat under one seed.
    """

    def __init__(self, subject: Subject, options: Options) -> None:
        self.subject = subject
        self.known: dict[tuple[str, int, Arithmetic], Known] = {}
        self.scale = 1.0
        self.arithmetic, first = self._first_observation(options)
        self.counters, self.unkept, self.switched = first.counters, first.unkept, first.switched
        self.entangled = is_entangled(subject.task.network)
        self.remark = " (hooks are lost under vmap)" if first.hooked else ""
        self.no_checkpoint = self._why_none_goes_on(first)

    def arithmetics(self, options: Options) -> list[Arithmetic]:
        """In which engines are held against it: also the study's, if that is a rough one."""
        rough = [replace(BF16, options=options)] if options.bf16 else []
        # What lies in the memory of a parameter is cut from it by a conversion.
        if self.entangled and options.precision == "float32":
            rough.append(replace(SINGLE, options=_exactly(options, "float32")))
        return [self.arithmetic, *rough]

    def of(self, pair: str, seed: int, arithmetic: Arithmetic) -> Known:
        """What it gives for a pair and a seed."""
        key = pair, seed, arithmetic
        if key not in self.known:
            exact, moved = (
                stacked([self._observe(pair, seed, cell, arithmetic, by) for cell in self.cells()])
                for by in (0.0, arithmetic.unit)
            )
            self.known[key] = Known(pair, seed, self.cells(), arithmetic, exact, moved)
        return self.known[key]

    def cells(self) -> list[Cell]:
        """The two that are trained."""
        return [replace(cell, alpha=self.scale * cell.alpha) for cell in CELLS]

    def _observe(
        self, pair: str, seed: int, cell: Cell, arithmetic: Arithmetic, shaken: float = 0.0
    ) -> Observation:
        return observe(self.subject, "referee", pair, [cell], arithmetic, seed=seed, shaken=shaken)

    def _first_observation(self, options: Options) -> tuple[Arithmetic, Observation]:
        """In the highest precision in which the plain loop runs, at an α that keeps it finite."""
        tried = [DOUBLE] if options.precision == "float64" else [DOUBLE, SINGLE]
        for arithmetic in tried:
            exactly = _exactly(options, arithmetic.options.precision)
            arithmetic = replace(arithmetic, options=exactly)
            try:
                return self._finite(arithmetic)
            except Exception as e:  # whatever the user's code raises
                failure = e
        raise TaskError(
            f"task '{self.subject.task.name}': a plain loop over a few batches failed: "
            f"{type(failure).__name__}: {failure}"
        ) from failure

    def _finite(self, arithmetic: Arithmetic) -> tuple[Arithmetic, Observation]:
        """Lowers α until the first cell stays finite; and the epochs, if they take long."""
        for attempt in range(TRIES):
            self.scale = MILDER**attempt
            started = time.perf_counter()
            found = self._observe("sgd", 0, self.cells()[0], arithmetic)
            if found.is_finite():
                break
        if time.perf_counter() - started > PATIENCE:
            arithmetic = replace(arithmetic, epochs=FEWER_EPOCHS)
            found = self._observe("sgd", 0, self.cells()[0], arithmetic)
        return arithmetic, found

    def _why_none_goes_on(self, first: Observation) -> str | None:
        """Why the plain loop does not go on from a checkpoint, as one that repeats would.

        The same on the same machine does not even round otherwise.
        """
        known = Known("sgd", 0, self.cells()[:1], self.arithmetic, first.seen, first.seen)
        if self.unkept and _difference("referee", self.subject, known, Programs()) is None:
            names = ", ".join(f"`{name}`" for name in self.unkept)
            return f"{names} changes, which no file can hold"
        interrupted = _difference("referee", self.subject, known, Programs(), interrupted=True)
        if interrupted is None:
            return None
        again = _difference("referee", self.subject, known, Programs(), interrupted=False)
        if again is None:
            return f"{interrupted}: the network keeps something that no file can hold"
        raise TaskError(
            f"task '{self.subject.task.name}': a plain loop gives other results when it is run "
            f"again under the same seed: {again}: the task draws from a generator without a seed, "
            "asks the clock, or keeps something outside of the network: draw from torch, "
            "numpy.random or random, whose seeds the tool sets, and keep all state in the network"
        )


def _exactly(options: Options, precision: str) -> Options:
    """The options, without what rounds more than the precision does, or makes rounding large.

    A gradient that is a rounding error, as of a bias that batch norm cancels, would be made a step
    by Adam's division by itself.
    """
    update = {"precision": precision, "bf16": False, "tf32": False}
    return options.model_copy(update=update | {"eps": max(options.eps, GENTLE)})


@seeded(0)
def is_entangled(network: Callable[[], nn.Module]) -> bool:
    """Whether a plain attribute of the network is a tensor in the memory of a parameter."""
    made = network()
    places = {memory_of(p) for p in made.parameters()} - {0}
    plain = (value for part in made.modules() for value in vars(part).values())
    return any(memory_of(value) in places for value in plain if isinstance(value, Tensor))
