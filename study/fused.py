"""Train one chunk: many cells at once, as stacked parameters under torch.func.

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

import numpy as np
import torch
from torch import Tensor

from study.checkpoint import Checkpoint, State
from study.engines import ENGINES, Engine, Ensemble, Programs
from study.engines.base import quiet_fallbacks
from study.engines.ensemble import Tensors
from study.metrics import TOP5, metrics_of
from study.outcome import Outcome
from study.pairs import PAIRS, PairOptimizer, normalizer
from study.spec import Cell, Options, Panel
from study.tasks.task import Data, TaskProtocol, chance_error, normalized

# Test activations held at once on a CPU, in cells × examples: larger slices leave the cache.
EVALUATION_SLICE = 8192
# Nor more examples than so many training batches: without gradients they take less memory.
EVALUATION_BATCHES = 4


def _stream(seed: int, purpose: int) -> torch.Generator:
    """A generator on the CPU, independent for each seed and purpose."""
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


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
    error: str = "test_error",
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
        error: the metric that becomes the cells' value.
        engine: one of `ENGINES` that can do the task's network (see `study.engines.check`).
        programs: what was traced for earlier chunks of the same task and options.
        on_step: called before each step and test batch; what it raises ends the training.
        checkpoint: where the state is kept now and then, and where an interrupted training of
            the same chunk left off.
    """
    if panel.epochs is None:
        raise ValueError(f"panel '{panel.name}' has no epochs: resolve the study first")
    gpus = [device] if device.startswith("cuda") else []
    with torch.random.fork_rng(gpus), quiet_fallbacks():
        torch.manual_seed(seed)
        dtype = getattr(torch, options.precision)
        ensemble = Ensemble(task.network(), len(cells), device, dtype)
        engine_ = ENGINES[engine](ensemble, task, options, programs)
        batches = _Batches(task, data, batch_size, seed, dtype)
        training = _Training(engine_, batches, panel, cells, options)
        state = checkpoint.recall() if checkpoint else None
        if state is not None:
            training.restore(state)
        training.finish(on_step, checkpoint)
    return Outcome(
        training.recorder.curves,
        training.recorder.diverged_epoch,
        training.seconds(),
        solution=panel.schedule.solution(panel.epochs),
        error=error,
    )


class _Training:
    """A chunk between two steps of its training.

    Attributes:
        epoch: how many are finished.
        step: how many steps of the next one are done.
    """

    def __init__(
        self,
        engine: Engine,
        batches: _Batches,
        panel: Panel,
        cells: Sequence[Cell],
        options: Options,
    ) -> None:
        self.started = time.perf_counter()
        self.engine, self.batches, self.panel = engine, batches, panel
        self.ensemble, self.epochs = engine.ensemble, panel.epochs or 0
        self.optimizer = _optimizer(panel, cells, engine, options)
        self.recorder = _Recorder(len(cells), self.epochs, engine.task)
        self.loss_sum = self.ensemble.theta.new_zeros(len(cells))
        self.epoch = self.step = 0

    def seconds(self) -> float:
        """Of training so far."""
        return time.perf_counter() - self.started

    def finish(self, on_step: Callable[[], None], checkpoint: Checkpoint | None) -> None:
        """Train what is left, until no cell is left to train."""
        while self.epoch < self.epochs and not self.recorder.all_diverged():
            self.ensemble.network.train()
            for t, inputs, targets in self.batches.of_epoch(self.epoch, self.step):
                on_step()
                self._step(t, inputs, targets)
                if checkpoint is not None:
                    checkpoint.keep(self.state)
            self._end_epoch(on_step)

    def _step(self, t: float, inputs: Tensor, targets: Tensor) -> None:
        gradients, losses = self.engine.gradient(inputs, targets)
        self.loss_sum += losses * len(targets)
        eta = self.panel.schedule.eta(t, self.epochs)
        self.optimizer.step(gradients, eta, _lambda_scale(self.panel, t, self.batches))
        self.step += 1

    def _end_epoch(self, on_step: Callable[[], None]) -> None:
        data, theta = self.batches.data, self.ensemble.theta
        examples = len(data.test_targets)
        size = evaluation_size(len(theta), self.batches.size, examples, str(theta.device))
        values = {"train_loss": self.loss_sum / self.batches.examples}
        values |= evaluate(self.engine, data, size, on_step)
        self.recorder.add(self.epoch, values, theta)
        self.loss_sum.zero_()
        self.epoch, self.step = self.epoch + 1, 0

    def state(self) -> State:
        """All that the rest of the training depends on."""
        moving = self.ensemble.moving()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds(),
            "theta": self.ensemble.theta.cpu(),
            "buffers": {name: buffer.cpu() for name, buffer in moving.items()},
            "moments": [moment.cpu() for moment in self.optimizer.moments],
            "t": self.optimizer.t,
            "loss_sum": self.loss_sum.cpu(),
            "random": _random_state(self.ensemble.theta.device),
            "batches": self.batches.state(),
            "recorder": self.recorder.state(),
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.started = time.perf_counter() - state["seconds"]
        self.ensemble.theta.copy_(state["theta"])
        for name, buffer in self.ensemble.moving().items():
            buffer.copy_(state["buffers"][name])
        for moment, value in zip(self.optimizer.moments, state["moments"], strict=True):
            moment.copy_(value)
        self.optimizer.t = state["t"]
        self.loss_sum.copy_(state["loss_sum"])
        self.batches.restore(state["batches"])
        self.recorder.restore(state["recorder"])
        _restore_random_state(self.ensemble.theta.device, state["random"])


def _random_state(device: torch.device) -> list[Tensor]:
    """Of PyTorch's own generators: dropout draws from them."""
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *cuda]


def _restore_random_state(device: torch.device, states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def _optimizer(
    panel: Panel, cells: Sequence[Cell], engine: Engine, options: Options
) -> PairOptimizer:
    theta = engine.ensemble.theta
    return PairOptimizer(
        PAIRS[panel.pair],
        theta,
        theta.new_tensor([cell.alpha for cell in cells]),
        theta.new_tensor([cell.lambda_ for cell in cells]),
        options,
        None if options.decay_1d else engine.ensemble.matrices_only(),
        lambda update: engine.program(update, f"update of {panel.pair}"),
    )


class _Batches:
    """The training batches of each epoch: shuffled, the last partial one kept."""

    def __init__(
        self, task: TaskProtocol, data: Data, size: int, seed: int, dtype: torch.dtype
    ) -> None:
        self.task, self.data, self.size, self.dtype = task, data, size, dtype
        self.examples = len(data.train_targets)
        self.per_epoch = math.ceil(self.examples / size)
        self.order = _stream(seed, 0)
        self.augmentation = _stream(seed, 1)
        self.before = self.order.get_state()  # this epoch's order was drawn

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Time t in epochs, inputs [B, …] and targets [B] of each batch from the `first` on."""
        device = self.data.train_targets.device
        self.before = self.order.get_state()
        order = torch.randperm(self.examples, generator=self.order).to(device)
        for i, indices in list(enumerate(order.split(self.size)))[first:]:
            inputs = normalized(self.task, self.data.train_inputs[indices], self.dtype)
            # Compiled code reads its inputs as they lay when it was traced.
            inputs = self.task.augment(inputs, self.augmentation).contiguous()
            yield epoch + i / self.per_epoch, inputs, self.data.train_targets[indices]

    def state(self) -> list[Tensor]:
        """Of the streams, as they must be to give the rest of this epoch and those after it."""
        return [self.before, self.augmentation.get_state()]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Go on where that was the state."""
        self.order.set_state(state[0])
        self.augmentation.set_state(state[1])


def _lambda_scale(panel: Panel, t: float, batches: _Batches) -> float:
    """What turns the grid's λ into the λ of the step at time `t` (epochs)."""
    if not panel.normalized:
        return 1.0
    cycle = panel.schedule.cycle(t, panel.epochs or 0)
    return normalizer(batches.size, batches.examples, cycle)


def evaluation_size(cells: int, batch_size: int, examples: int, device: str = "cpu") -> int:
    """How many test examples to test at once, such that few are left over."""
    most = EVALUATION_BATCHES * batch_size
    if device == "cpu":
        most = max(1, min(EVALUATION_SLICE // cells, most))
    return examples // math.ceil(examples / most)


@torch.no_grad()
def evaluate(
    engine: Engine, data: Data, size: int, on_step: Callable[[], None] = lambda: None
) -> Tensors:
    """Test metrics of every cell by name, each [K]: mean loss, and errors in percent.

    Tests `size` examples at once. `on_step` is called before each batch; what it raises ends
    the evaluation.
    """
    engine.ensemble.network.eval()
    theta = engine.ensemble.theta
    totals = {metric: theta.new_zeros(len(theta)) for metric in engine.metrics}
    for inputs, targets in zip(
        data.test_inputs.split(size), data.test_targets.split(size), strict=True
    ):
        on_step()
        found = engine.scores(normalized(engine.task, inputs, theta.dtype), targets)
        for metric, total in totals.items():
            total += found[metric]
    percent = {metric: 100.0 if metric.endswith("error") else 1.0 for metric in totals}
    return {m: percent[m] * total / len(data.test_targets) for m, total in totals.items()}


class _Recorder:
    """Collects the curves, and notices which cells diverged.

    Attributes:
        curves: per metric, float32 [K, E]; as in `Outcome`.
        diverged_epoch: [K]; as in `Outcome`.
    """

    def __init__(self, cells: int, epochs: int, task: TaskProtocol) -> None:
        self.chance = {"test_error": chance_error(task), TOP5: chance_error(task, 5)}
        metrics = metrics_of(task.classes)
        self.curves = {m: np.full((cells, epochs), np.nan, np.float32) for m in metrics}
        self.diverged_epoch = np.zeros(cells, np.int64)

    def add(self, epoch: int, values: Tensors, theta: Tensor) -> None:
        """Take the metrics after an epoch, each [K]; `theta` [K, P] is searched for non-finite."""
        # In the curves' precision: a float64 loss of 1e200 would be recorded as infinite.
        values = {metric: value.float() for metric, value in values.items()}
        losses = values["train_loss"].isfinite() & values["test_loss"].isfinite()
        finite = losses & theta.sum(dim=1).isfinite()
        newly = (self.diverged_epoch == 0) & ~finite.cpu().numpy()
        self.diverged_epoch[newly] = epoch + 1
        alive = self.diverged_epoch == 0
        for metric, curve in self.curves.items():
            curve[alive, epoch] = values[metric].cpu().numpy()[alive]
            curve[~alive, epoch:] = self.chance.get(metric, np.nan)

    def state(self) -> State:
        """What was found so far."""
        curves = {metric: torch.from_numpy(curve) for metric, curve in self.curves.items()}
        return {"curves": curves, "diverged_epoch": torch.from_numpy(self.diverged_epoch)}

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        for metric, curve in self.curves.items():
            curve[:] = state["curves"][metric].numpy()
        self.diverged_epoch[:] = state["diverged_epoch"].numpy()

    def all_diverged(self) -> bool:
        """Whether no cell is left to train; their curves are complete then."""
        return bool((self.diverged_epoch > 0).all())
