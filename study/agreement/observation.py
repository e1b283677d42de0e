"""A few steps of a task's training, looked at closely: losses, buffers, parameters, scores.

Letters: K cells.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.schedules import Cosine
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import TaskProtocol
from landscape_study.study.training.checkpoint import State
from landscape_study.study.training.course import Training, begun
from landscape_study.study.training.engines import Programs, Referee
from landscape_study.study.training.engines.base import Tensors, quiet_fallbacks
from landscape_study.study.training.engines.python_state import counters, unkept
from landscape_study.study.training.engines.referee import as_real

BATCH = 8  # examples
TRAIN_EXAMPLES = 2 * BATCH + 5  # two whole batches and a last one that is smaller
TEST_EXAMPLES = 40  # two slices
EPOCHS = 4
# The epoch, and the step of it, after which an interrupted training stops: five steps in all, so
# that what comes back every 2, 3 or 4 steps does not look as it did at the start.
STOP = (2, 2)
KEPT = 4096  # numbers that are kept of a tensor: of a larger one, sums over as many stretches
SLACK = 64  # rounding units of the largest weight

GRID = Grid(alpha=Axis(values=(1.0,)), lambda_=Axis(values=(0.0,)))  # nobody looks at it


@dataclass(frozen=True)
class Subject:
    """What is observed.

    Attributes:
        data: few examples, on the CPU.
        advance: called before each step and test batch.
    """

    task: TaskProtocol
    data: Data
    advance: Callable[[], None] = lambda: None

    @property
    def batch_size(self) -> int:
        """Such that the last batch is smaller, and never of one example."""
        examples = len(self.data.train_targets)
        return next(b for b in range(min(BATCH, examples), 0, -1) if examples % b != 1 or b == 1)


@dataclass(frozen=True)
class Arithmetic:
    """In which arithmetic networks are observed, and what rounding may do there.

    Attributes:
        unit: relative size of one rounding error.
        floor: relative to the largest number of a tensor, below which nothing is a difference.
        ceiling: likewise, above which everything is one.
        factor: how many times what one unit changes is taken for rounding.
    """

    options: Options
    unit: float
    floor: float
    ceiling: float
    factor: float = 1e3
    epochs: int = EPOCHS


@dataclass(frozen=True)
class Seen:
    """Something of K cells at a moment of their training."""

    when: str
    what: str
    values: Tensor  # [K, …]


@dataclass
class Observation:
    """What was seen of a training, in the order in which it came about.

    Attributes:
        counters: names of what changes from step to step in the network's and the loss's Python
            attributes, tensors apart; of the referee only.
        unkept: those of them that no checkpoint holds.
        switched: names of parameters whose `requires_grad` changes; of the referee only.
        hooked: whether parameters or gradients have hooks; of the referee only.
    """

    seen: list[Seen] = field(default_factory=list)
    counters: list[str] = field(default_factory=list)
    unkept: list[str] = field(default_factory=list)
    switched: list[str] = field(default_factory=list)
    hooked: bool = False

    def is_finite(self) -> bool:
        """Whether no loss is infinite or NaN; buffers may be, as masks of attention are."""
        losses = (seen.values for seen in self.seen if seen.what.endswith("loss"))
        return all(bool(values.isfinite().all()) for values in losses)


def excerpt(data: TaskData) -> Data:
    """A few examples."""
    return Data(*data.train.sample(TRAIN_EXAMPLES), *data.test.sample(TEST_EXAMPLES))


def observe(
    subject: Subject,
    engine: str,
    pair: str,
    cells: Sequence[Cell],
    arithmetic: Arithmetic,
    *,
    seed: int = 0,
    programs: Programs | None = None,
    shaken: float = 0.0,
    interrupted: bool = False,
    arguments: dict[str, Any] | None = None,
) -> Observation:
    """Train the cells for some short epochs by an engine.

    Args:
        cells: one for the referee.
        programs: what was traced for an earlier observation of the same subject and arithmetic.
        shaken: relative size by which the start weights of the referee are moved.
        interrupted: whether to stop on the way and go on from a checkpoint.
        arguments: of an optimizer that is the pair, as panels say them.
    """
    found = Observation()
    # η and the normalized λ are not 1, so that no engine may leave them out.
    panel = Panel(
        pair=pair,
        optimizer=arguments,
        schedule=Cosine(),
        epochs=arithmetic.epochs,
        normalized=True,
        grid=GRID,
    )
    options = arithmetic.options

    def begin() -> Training:
        data = subject.data.to("cpu", getattr(torch, options.precision))
        return begun(
            *(subject.task, data, panel, cells),
            seed=seed,
            batch_size=subject.batch_size,
            options=options,
            engine=engine,
            programs=programs,
        )

    with seeded(seed), quiet_fallbacks():
        training = begin()
        if isinstance(training.engine, Referee):
            training.engine.shake(shaken)
        state = _watch(training, found, subject, STOP if interrupted else None)
    if state is not None:
        with seeded(seed), quiet_fallbacks():
            training = begin()
            training.restore(_through_file(state))
            _watch(training, found, subject, None)
    return found


def _watch(
    training: Training, found: Observation, subject: Subject, stop: tuple[int, int] | None
) -> State | None:
    """Train to the end, or to where it is to stop: then its state is returned."""
    steps, python = training.batches.per_epoch, _Python(training)
    if stop is not None:
        stop = stop[0], max(1, min(stop[1], steps - 1))
    while training.epoch < training.epochs:
        for _ in training.steps_of_epoch(subject.advance):
            when = f"after step {training.epoch * steps + training.step}"
            found.seen += _snapshot(training, when)
            if training.epoch > 0:  # in the first epoch things may settle
                python.look()
            if (training.epoch + 1, training.step) == stop:
                return training.state()
        for metric, values in training.test(subject.advance).items():
            when, what = f"after epoch {training.epoch}", metric.replace("_", " ")
            found.seen.append(Seen(when, f"the {what}", kept(values)))
    python.tell(found)
    return None


def _snapshot(training: Training, when: str) -> list[Seen]:
    engine = training.engine

    def of(kind: str, tensors: Tensors) -> list[Seen]:
        return [Seen(when, f"{kind} `{name}`", kept(t)) for name, t in tensors.items()]

    return [
        Seen(when, "the training loss", kept(training.loss_sum)),
        Seen(when, "whether all is finite", kept(engine.finite())),
        *of("the buffer", engine.buffers()),
        *of("the parameter", engine.parameters()),
    ]


class _Python:
    """Looks at the referee's network after each step, for what is not in its tensors."""

    def __init__(self, training: Training) -> None:
        engine = training.engine
        self.engine = engine if isinstance(engine, Referee) else None
        self.states: list[State] = []
        self.look()

    def look(self) -> None:
        """Note what there is now."""
        if self.engine is not None:
            named = self.engine.network.named_parameters()
            network, loss = self.engine.network, self.engine.task.loss
            self.states.append(
                {
                    "counters": counters(network) | counters(loss),
                    "unkept": unkept(network) | unkept(loss),
                    "trained": {name: p.requires_grad for name, p in named},
                }
            )

    def tell(self, found: Observation) -> None:
        """Put what changed into the observation."""
        if self.engine is not None:
            found.unkept = _changed([state["unkept"] for state in self.states[1:]])
            numbers = _changed([state["counters"] for state in self.states[1:]])
            found.counters = [*numbers, *found.unkept]
            found.switched = _changed([state["trained"] for state in self.states])
            found.hooked = _is_hooked(self.engine.network)


def _changed(states: Sequence[State]) -> list[str]:
    """Keys whose value is not the same in all states."""
    keys = sorted({key for state in states for key in state})
    return [key for key in keys if any(s.get(key) != states[0].get(key) for s in states[1:])]


def _is_hooked(network: nn.Module) -> bool:
    """Whether hooks act on gradients."""
    modules = any(m._backward_hooks or m._backward_pre_hooks for m in network.modules())
    return modules or any(bool(p._backward_hooks) for p in network.parameters())


def _through_file(state: State) -> State:
    """The state as a checkpoint would give it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    restored: State = torch.load(file, map_location="cpu", weights_only=True)
    return restored


def kept(values: Tensor) -> Tensor:
    """Of [K, …], at most so many numbers a cell, [K, n] in double precision, on the CPU."""
    dense = values.detach() if values.layout == torch.strided else values.detach().to_dense()
    rows = as_real(dense).reshape(len(values), -1).double().cpu()
    numbers = rows.shape[1]
    if numbers <= KEPT:
        return rows.clone()
    stretch = math.ceil(numbers / KEPT)
    padded = nn.functional.pad(rows, (0, stretch * KEPT - numbers))
    return padded.view(len(rows), KEPT, stretch).sum(dim=2)


def stacked(observations: Sequence[Observation]) -> list[Seen]:
    """What was seen of cells that were trained apart, as of K cells."""
    together = zip(*(observation.seen for observation in observations), strict=True)
    return [replace(of[0], values=torch.cat([seen.values for seen in of])) for of in together]


def first_difference(
    ours: Sequence[Seen], exact: Sequence[Seen], moved: Sequence[Seen], arithmetic: Arithmetic
) -> str | None:
    """The first thing that is not what it should be, beyond rounding; None if all is.

    Args:
        exact: what it should be.
        moved: the same with weights that one rounding unit moved.
    """
    if {seen.what for seen in ours} != {seen.what for seen in exact}:
        return "it has other parameters or buffers than the network"
    if [(seen.when, seen.what) for seen in ours] != [(seen.when, seen.what) for seen in exact]:
        return "it does another number of steps"
    slack = _slack(exact, arithmetic)
    for one, other, rounded in zip(ours, exact, moved, strict=True):
        where = _differs(one.values, other.values, rounded.values, arithmetic, slack)
        if where is not None:
            return f"{one.when} {one.what} of cell {where + 1} differs"
    return None


def _slack(exact: Sequence[Seen], arithmetic: Arithmetic) -> float:
    """What is no difference beside the largest weights: some may be rounding errors themselves.

    So are biases that begin at 0 and are cancelled by a batch norm.
    """
    unit = torch.finfo(getattr(torch, arithmetic.options.precision)).eps
    weights = (seen.values for seen in exact if seen.what.startswith("the parameter"))
    largest = max(
        (w.nan_to_num(0, 0, 0).abs().max().item() for w in weights if w.numel()), default=0
    )
    return SLACK * unit * largest


def _differs(
    a: Tensor, b: Tensor, moved: Tensor, arithmetic: Arithmetic, slack: float
) -> int | None:
    """The first of the K cells whose numbers [K, n] differ beyond rounding; None if none do."""
    if a.shape != b.shape or moved.shape != b.shape:
        return 0
    for k in range(len(a)):
        if not torch.equal(a[k].isfinite(), b[k].isfinite()):
            return k
        one, other, third = (t[k].nan_to_num(0, 0, 0) for t in (a, b, moved))
        if not other.numel():
            continue
        scale, rounding = other.abs().max(), (other - third).abs().max()
        allowed = arithmetic.floor * scale + arithmetic.factor * rounding
        most = min(float(allowed), float(arithmetic.ceiling * scale))
        if (one - other).abs().max() > max(most, slack):
            return k
    return None
