"""Train one chunk from start to end: batches, schedule, tests, curves, checkpoints.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes, N test examples,
E epochs.

All cells of a chunk start from the same weights and see the same batches, augmentations and
dropout masks in the same order (common random numbers), so they differ by α and λ alone. The
engine decides how gradients and scores are computed; what they are does not depend on it, but for
rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from landscape_study.study.pairs.meter import measured_steps
from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.randomness import (
    AUGMENTATION,
    Stream,
    derived_seed,
    random_state,
    seeded,
    set_random_state,
)
from landscape_study.study.tasks.task import (
    Data,
    TaskProtocol,
    measures_of,
    no_augmentation,
    normalized,
    own_copy,
)
from landscape_study.study.training.checkpoint import Checkpoint, Recalled, State, fits
from landscape_study.study.training.engines import ENGINES, Assignment, Engine, Programs
from landscape_study.study.training.engines.base import Tensors, quiet_fallbacks
from landscape_study.study.training.engines.python_state import object_state, set_object_state

# Parts of a state whose form depends on the user's objects: attributes, buffers that grow.
OF_THE_USERS = ("network", "loss", "augment", "normalize", "buffers")
# Test examples held at once: with the cells of a usual chunk, larger slices leave a CPU's cache.
TEST_SLICE = 192
# Nor more than so many training batches: without gradients they take less memory.
TEST_BATCHES = 4


def _stream(seed: int, purpose: int) -> torch.Generator:
    """A generator on the CPU, independent for each seed and purpose."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


def train_chunk(
    task: TaskProtocol,
    data: Data,
    panel: Panel,
    cells: Sequence[Cell],
    *,
    seed: int,
    batch_size: int,
    options: Options,
    device: str = "cpu",
    metric: Metric = TEST_ERROR,
    engine: str = "vmap",
    programs: Programs | None = None,
    on_step: Callable[[], None] = lambda: None,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Train the cells for the panel's epochs and test them after each.

    Args:
        data: the task's data on `device` in the precision of `options`.
        panel: pair, schedule, budget; its grid is not looked at.
        cells: the K cells.
        seed: decides start weights, batches, augmentation and dropout.
        metric: what becomes the cells' value.
        engine: one of `ENGINES` that can do the task's network (see `agreement.finding`).
        programs: what was traced for earlier chunks of the same task and options.
        on_step: called before each step and test batch; what it raises ends the training.
        checkpoint: where the state is kept now and then, and where an interrupted training of
            the same chunk left off.
    """
    if panel.epochs is None:
        raise ValueError(f"panel '{panel.name}' has no epochs: resolve the study first")
    begin = partial(
        begun,
        *(task, data, panel),
        seed=seed,
        batch_size=batch_size,
        options=options,
        device=device,
        engine=engine,
        programs=programs,
    )
    kept = _Kept(checkpoint, ENGINES[engine], panel.epochs)
    parts = [cells] if ENGINES[engine].together else [[cell] for cell in cells]
    while len(kept.finished) < len(parts):
        with seeded(seed, device), quiet_fallbacks():
            training = begin(parts[len(kept.finished)])
            if kept.fits(training):
                training.finish(on_step, partial(kept.keep, training))
                kept.finished.append(training.recorder.state())
    return _outcome(kept.finished, panel, metric, kept.seconds())


class _Kept:
    """What a checkpoint holds of a chunk, whose cells may be trained one after the other.

    Attributes:
        finished: what the recorders found of the cells that are trained.
        training: where the next training was interrupted, if it was.
    """

    def __init__(self, checkpoint: Checkpoint | None, engine: type[Engine], epochs: int) -> None:
        self.checkpoint, self.engine, self.epochs = checkpoint, engine, epochs
        self.started = time.perf_counter()
        self.finished: list[State] = []
        self.training: State | None = None
        recalled = checkpoint.recall() if checkpoint else None
        if checkpoint is not None and recalled is not None:
            try:
                self._go_on(recalled)
            except (KeyError, TypeError, IndexError, AttributeError) as e:
                self._refuse(f"{type(e).__name__}: {e}")

    def _go_on(self, recalled: Recalled) -> None:
        """Take over what the checkpoint has of the chunk's own cells."""
        state, mine = recalled.state, recalled.positions
        finished: list[State] = state["finished"]
        self.started -= state["seconds"] * len(mine) / recalled.cells
        if self.engine.together:
            self.training = _part(self.engine, state["training"], mine)
            return
        done = [k for k in mine if k < len(finished)]
        self.finished = [finished[k] for k in done]
        interrupted = mine[len(done) : len(done) + 1] == [len(finished)]
        self.training = state["training"] if interrupted else None

    def _refuse(self, why: str) -> None:
        """Begin anew, since the state is not what its key promises."""
        if self.checkpoint is not None:
            self.checkpoint.refuse(why)
        self.started = time.perf_counter()
        self.finished, self.training = [], None

    def seconds(self) -> float:
        """Of training so far."""
        return time.perf_counter() - self.started

    def fits(self, training: Training) -> bool:
        """Put a training that begins to where it was interrupted, if it was.

        False if what was kept is not of such a training: then all begins anew.
        """
        state, self.training = self.training, None
        if state is None and not self.finished:
            return True
        own = training.state()
        if not all(fits(found, own["recorder"]) for found in self.finished):
            self._refuse("its finished cells are of another form")
            return False
        if state is None:
            return True
        if not fits(state, own, free=OF_THE_USERS):
            self._refuse("it is of another form")
            return False
        try:
            training.restore(state)
        except Exception as e:  # objects of the user's refuse in their own ways
            self._refuse(f"{type(e).__name__}: {e}")
            return False
        return True

    def keep(self, training: Training) -> None:
        """Write the state, if it is time to."""
        if self.checkpoint is not None:
            self.checkpoint.keep(
                lambda: {
                    "seconds": self.seconds(),
                    "finished": self.finished,
                    "training": training.state(),
                },
                len(self.finished) * self.epochs + training.progress(),
            )


def _part(engine: type[Engine], state: State, cells: Sequence[int]) -> State:
    """The state of a training, of some of the cells that it trains together."""
    return state | {
        "engine": engine.part(state["engine"], cells),
        "loss_sum": state["loss_sum"][cells],
        "recorder": _Recorder.part(state["recorder"], cells),
    }


def begun(
    task: TaskProtocol,
    data: Data,
    panel: Panel,
    cells: Sequence[Cell],
    *,
    seed: int,
    batch_size: int,
    options: Options,
    device: str = "cpu",
    engine: str = "referee",
    programs: Programs | None = None,
) -> Training:
    """Cells before the first step of their training, by an engine that can take so many.

    Called and trained within `seeded(seed, device)`; the arguments are those of `train_chunk`.
    """
    own = own_copy(task, device, getattr(torch, options.precision))
    assignment = Assignment(own, panel.pair, cells, options, device)
    made = ENGINES[engine](assignment, programs)
    return Training(made, data, panel, batch_size, seed)


def _outcome(parts: Sequence[State], panel: Panel, metric: Metric, seconds: float) -> Outcome:
    """Of what the recorders of each part of the chunk found."""
    return Outcome(
        _together([part["curves"] for part in parts]),
        np.concatenate([part["diverged_epoch"].numpy() for part in parts]),
        seconds,
        solution=panel.schedule.solution(panel.epochs or 0),
        metric=metric,
        mechanism=_together([part["mechanism"] for part in parts]),
    )


def _together(parts: Sequence[Tensors]) -> dict[str, np.ndarray]:
    """Curves by name of all cells, [K, E], from those of each part of the chunk."""
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


class Training:
    """Cells between two steps of their training.

    Attributes:
        epoch: how many are finished.
        step: how many steps of the next one are done.
        recorder: what was found so far.
    """

    def __init__(
        self, engine: Engine, data: Data, panel: Panel, batch_size: int, seed: int
    ) -> None:
        self.engine, self.panel, self.epochs = engine, panel, panel.epochs or 0
        assignment = engine.assignment
        self.device = assignment.device
        self.batches = _Batches(engine.task, data, batch_size, seed, assignment.dtype)
        cells = len(assignment.cells)
        self.meter = engine.optimizer.meter
        self.meter.due = measured_steps(self.batches.per_epoch)
        self.recorder = _Recorder(cells, self.epochs, engine.task, self.meter.quantities)
        self.loss_sum = torch.zeros(cells, dtype=assignment.dtype, device=self.device)
        self.epoch = self.step = 0

    def finish(self, on_step: Callable[[], None], after_step: Callable[[], object]) -> None:
        """Train what is left, until no cell is left to train."""
        while self.epoch < self.epochs and not self.recorder.all_diverged():
            for _ in self.steps_of_epoch(on_step):
                after_step()
            self.test(on_step)

    def steps_of_epoch(self, on_step: Callable[[], None] = lambda: None) -> Iterator[None]:
        """What is left of this epoch's steps, one at a time."""
        if self.step == 0:
            self.engine.train(True)
        for t, inputs, targets in self.batches.of_epoch(self.epoch, self.step):
            on_step()
            eta, scale = self.panel.schedule.eta(t, self.epochs), self._lambda_scale(t)
            examples = len(targets)
            self.loss_sum += self.engine.step(inputs, targets, eta, scale) * examples
            self.step += 1
            yield

    def _lambda_scale(self, t: float) -> float:
        """What turns the grid's λ into the λ of the step at time `t` (epochs)."""
        if not self.panel.normalized:
            return 1.0
        cycle = self.panel.schedule.cycle(t, self.epochs)
        return normalizer(self.batches.size, self.batches.examples, cycle)

    def test(self, on_step: Callable[[], None] = lambda: None) -> Tensors:
        """End the epoch: test all cells, and record the metrics, which it returns, each [K]."""
        values = {"train_loss": self.loss_sum / self.batches.examples}
        mechanism = {"weight_norm": self.engine.weight_norm(), **self.meter.taken()}
        values |= evaluate(self.engine, self.batches.data, self.batches.size, on_step)
        self.recorder.add(self.epoch, values, self.engine.finite(), mechanism)
        self.loss_sum.zero_()
        self.epoch, self.step = self.epoch + 1, 0
        return values

    def progress(self) -> float:
        """Epochs that are done, whole and begun."""
        return self.epoch + self.step / self.batches.per_epoch

    def state(self) -> State:
        """All that the rest of the training depends on."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "engine": self.engine.state(),
            "loss_sum": self.loss_sum.cpu(),
            "random": random_state(self.device),
            "batches": self.batches.state(),
            "recorder": self.recorder.state(),
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.engine.restore(state["engine"])
        self.loss_sum.copy_(state["loss_sum"])
        self.batches.restore(state["batches"])
        self.recorder.restore(state["recorder"])
        set_random_state(state["random"], self.device)


class _Batches:
    """The training batches of each epoch: shuffled, the last partial one kept.

    Each is a copy of its own: whoever gets it may change it.
    """

    def __init__(
        self, task: TaskProtocol, data: Data, size: int, seed: int, dtype: torch.dtype
    ) -> None:
        self.task, self.data, self.size, self.dtype = task, data, size, dtype
        self.examples = len(data.train_targets)
        self.per_epoch = math.ceil(self.examples / size)
        self.order = _stream(seed, 0)
        self.augmentation = _stream(seed, 1)
        self.others = Stream(seed, AUGMENTATION)  # of an augmentation that asks other generators
        self.before = self.order.get_state()  # this epoch's order was drawn

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Time t in epochs, inputs [B, …] and targets [B] of each batch from the `first` on."""
        device = self.data.train_targets.device
        self.before = self.order.get_state()
        order = torch.randperm(self.examples, generator=self.order).to(device)
        for i, indices in list(enumerate(order.split(self.size)))[first:]:
            inputs = normalized(self.task, self.data.train_inputs[indices], self.dtype)
            # Compiled code reads its inputs as they lay when it was traced.
            inputs = self._augmented(inputs).contiguous()
            yield epoch + i / self.per_epoch, inputs, self.data.train_targets[indices]

    def _augmented(self, inputs: Tensor) -> Tensor:
        if self.task.augment is no_augmentation:
            return inputs
        with self.others.entered():
            return self.task.augment(inputs, self.augmentation)

    def state(self) -> State:
        """Of the streams, as they must be to give the rest of this epoch and those after it."""
        return {
            "order": self.before,
            "augmentation": self.augmentation.get_state(),
            "others": self.others.state,
            "augment": object_state(self.task.augment),
            "normalize": object_state(self.task.normalize),
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        self.order.set_state(state["order"])
        self.augmentation.set_state(state["augmentation"])
        self.others.state = state["others"]
        set_object_state(self.task.augment, state["augment"])
        set_object_state(self.task.normalize, state["normalize"])


def evaluation_slices(examples: int, batch_size: int) -> list[slice]:
    """Which test examples are tested at once: nearly as many in each slice.

    They do not depend on the chunk, and so no score does: where a network's outputs depend on
    what else is in the batch, or a loss weighs its examples.
    """
    most = min(TEST_SLICE, TEST_BATCHES * batch_size)
    size = math.ceil(examples / math.ceil(examples / most))
    starts = list(range(0, examples, size))
    if len(starts) > 1 and examples - starts[-1] <= size // 2:
        del starts[-1]  # the last slice takes what is too little for one of its own
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], examples], strict=True)]


@torch.no_grad()
def evaluate(
    engine: Engine, data: Data, batch_size: int, on_step: Callable[[], None] = lambda: None
) -> Tensors:
    """What the task measures of every cell, by name, each [K]: means over the test examples.

    `on_step` is called before each slice; what it raises ends the evaluation.
    """
    engine.train(False)
    totals: dict[str, Tensor] = {}
    for some in evaluation_slices(len(data.test_targets), batch_size):
        on_step()
        # Copies, since a network may change its inputs in place.
        inputs, targets = data.test_inputs[some].clone(), data.test_targets[some].clone()
        inputs = normalized(engine.task, inputs, engine.assignment.dtype)
        for metric, value in engine.scores(inputs, targets).items():
            value = value.to(engine.assignment.dtype)
            totals[metric] = totals[metric] + value if metric in totals else value
    return {metric: total / len(data.test_targets) for metric, total in totals.items()}


class _Recorder:
    """Collects the curves, and notices which cells diverged.

    Attributes:
        curves: per metric, float32 [K, E]; as in `Outcome`.
        mechanism: per quantity, likewise.
        diverged_epoch: [K]; as in `Outcome`.
    """

    def __init__(
        self, cells: int, epochs: int, task: TaskProtocol, quantities: Sequence[str]
    ) -> None:
        self.chance: dict[str, float | None] = {"train_loss": None}
        self.chance |= {measure.name: measure.chance for measure in measures_of(task)}
        self.curves, self.mechanism = (
            {name: np.full((cells, epochs), np.nan, np.float32) for name in names}
            for names in (self.chance, quantities)
        )
        self.diverged_epoch = np.zeros(cells, np.int64)

    def add(self, epoch: int, values: Tensors, finite: Tensor, mechanism: Tensors) -> None:
        """Take what an epoch ended with, each [K]; `finite`: whether the parameters are."""
        # In the curves' precision: a float64 loss of 1e200 would be recorded as infinite.
        values = {metric: value.float() for metric, value in values.items()}
        for value in values.values():
            finite = finite & value.isfinite()
        newly = (self.diverged_epoch == 0) & ~finite.cpu().numpy()
        self.diverged_epoch[newly] = epoch + 1
        alive = self.diverged_epoch == 0
        for metric, curve in self.curves.items():
            curve[alive, epoch] = values[metric].cpu().numpy()[alive]
            chance = self.chance[metric]
            curve[~alive, epoch:] = np.nan if chance is None else chance
        for quantity, curve in self.mechanism.items():
            curve[alive, epoch] = mechanism[quantity].float().cpu().numpy()[alive]

    def state(self) -> State:
        """What was found so far."""
        return {
            "curves": {name: torch.from_numpy(curve) for name, curve in self.curves.items()},
            "mechanism": {name: torch.from_numpy(curve) for name, curve in self.mechanism.items()},
            "diverged_epoch": torch.from_numpy(self.diverged_epoch),
        }

    @staticmethod
    def part(state: State, cells: Sequence[int]) -> State:
        """A state as it would be of some of the cells."""
        return {
            "curves": {name: curve[cells] for name, curve in state["curves"].items()},
            "mechanism": {name: curve[cells] for name, curve in state["mechanism"].items()},
            "diverged_epoch": state["diverged_epoch"][cells],
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        for name, curve in self.curves.items():
            curve[:] = state["curves"][name].numpy()
        for name, curve in self.mechanism.items():
            curve[:] = state["mechanism"][name].numpy()
        self.diverged_epoch[:] = state["diverged_epoch"].numpy()

    def all_diverged(self) -> bool:
        """Whether no cell is left to train; their curves are complete then."""
        return bool((self.diverged_epoch > 0).all())
