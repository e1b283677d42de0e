"""Train one chunk from start to end: batches, schedule, tests, curves, checkpoints.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes, N test examples,
E epochs.

All cells of a chunk start from the same weights and see the same batches, augmentations and
dropout masks in the same order (common random numbers), so they differ by α and λ alone. The
engine decides how gradients and scores are computed; what they are does not depend on it, but for
rounding.
"""

from __future__ import annotations

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
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.randomness import random_state, seeded, set_random_state
from landscape_study.study.tasks.task import TaskProtocol, measures_of, own_copy
from landscape_study.study.training.batches import Batches, evaluate
from landscape_study.study.training.checkpoint import Checkpoint, Recalled, State, fits
from landscape_study.study.training.engines import ENGINES, Assignment, Engine, Programs
from landscape_study.study.training.engines.base import Tensors, quiet_fallbacks

# Parts of a state whose form depends on the user's objects: attributes, buffers that grow.
OF_THE_USERS = ("network", "loss", "augment", "normalize", "buffers")


def train_chunk(
    task: TaskProtocol,
    data: TaskData,
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
    data: TaskData,
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
        self, engine: Engine, data: TaskData, panel: Panel, batch_size: int, seed: int
    ) -> None:
        self.engine, self.panel, self.epochs = engine, panel, panel.epochs or 0
        assignment = engine.assignment
        self.device = assignment.device
        self.batches = Batches(engine.task, data.train, batch_size, seed, assignment.dtype)
        self.test_examples = data.test
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
        for t, inputs, targets in self.batches.of_epoch(self.epoch, self.step, on_step):
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
        return normalizer(self.batches.size, self.batches.examples.count, cycle)

    def test(self, on_step: Callable[[], None] = lambda: None) -> Tensors:
        """End the epoch: test all cells, and record the metrics, which it returns, each [K]."""
        values = {"train_loss": self.loss_sum / self.batches.examples.count}
        mechanism = {"weight_norm": self.engine.weight_norm(), **self.meter.taken()}
        values |= evaluate(self.engine, self.test_examples, self.batches.size, on_step)
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
