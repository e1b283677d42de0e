"""Train one chunk: many cells at once, as stacked parameters under torch.func.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes, N test examples,
E epochs.

All cells of a chunk start from the same weights and see the same batches, augmentations and
dropout masks in the same order (common random numbers), so they differ by α and λ alone. What
a network cannot do under `torch.func.vmap` is trained one cell after the other by the same
code; only the gradient is taken differently.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from study.outcome import METRICS, Outcome
from study.pairs import PAIRS, PairOptimizer, normalizer
from study.spec import Cell, Options, Panel
from study.tasks.task import Data, TaskProtocol, chance_error

Tensors = dict[str, Tensor]

# Test activations held at once, in cells × examples: larger slices leave the CPU's cache.
EVALUATION_SLICE = 8192


class Ensemble:
    """K copies of a network: stacked parameters and buffers, all starting from the same values.

    Attributes:
        theta: all parameters, flat, [K, P]; what optimizers update in place.
        parameters: views into `theta` by name, [K, …].
        buffers: by name, [K, …], updated by training; frozen parameters (`requires_grad` False)
            are among them, since no step touches them.
    """

    def __init__(self, network: nn.Module, cells: int, device: str, dtype: torch.dtype) -> None:
        self.network = network.to(device, dtype)
        everything = dict(self.network.named_parameters())
        named = {name: p.detach() for name, p in everything.items() if p.requires_grad}
        frozen = {name: p.detach() for name, p in everything.items() if not p.requires_grad}
        self.theta = torch.cat([p.reshape(-1) for p in named.values()]).repeat(cells, 1)
        self.parameters: Tensors = {}
        start = 0
        for name, p in named.items():
            columns = self.theta[:, start : start + p.numel()]
            self.parameters[name] = columns.view(cells, *p.shape)
            start += p.numel()
        self.buffers: Tensors = {
            name: b.detach().expand(cells, *b.shape).clone()
            for name, b in self.network.named_buffers()
        }
        self.buffers |= {name: p.expand(cells, *p.shape) for name, p in frozen.items()}

    def flatten(self, gradients: Tensors) -> Tensor:
        """Gradients by name, [K, …], as one [K, P] in the order of `theta`."""
        return torch.cat([gradients[name].flatten(1) for name in self.parameters], dim=1)

    def matrices_only(self) -> Tensor:
        """[P], 1 where a parameter has two or more dimensions, 0 for biases and norms."""
        return torch.cat(
            [
                torch.full((p[0].numel(),), float(p.ndim > 2), device=p.device, dtype=p.dtype)
                for p in self.parameters.values()
            ]
        )


class FusedEngine:
    """Losses, gradients and outputs of all cells in one call, by torch.func.vmap."""

    def __init__(self, ensemble: Ensemble, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.ensemble = ensemble

        def cell_loss(
            p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor
        ) -> tuple[Tensor, Tensors]:
            state = {**p, **b}
            outputs = functional_call(ensemble.network, state, (inputs,))
            return loss(outputs, targets), {name: state[name] for name in b}

        def cell_outputs(p: Tensors, b: Tensors, inputs: Tensor) -> Tensor:
            return functional_call(ensemble.network, (p, b), (inputs,))

        # randomness="same": one dropout mask for all cells, whatever the chunk's composition.
        self._gradient = vmap(
            grad_and_value(cell_loss, has_aux=True), in_dims=(0, 0, None, None), randomness="same"
        )
        self._outputs = vmap(cell_outputs, in_dims=(0, 0, None), randomness="same")
        self._losses = vmap(loss, in_dims=(0, None))

    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients [K, P] and losses [K] on one batch; moves the buffers."""
        e = self.ensemble
        gradients, (losses, e.buffers) = self._gradient(e.parameters, e.buffers, inputs, targets)
        return e.flatten(gradients), losses

    def outputs(self, inputs: Tensor) -> Tensor:
        """Outputs [K, B, C] on one batch."""
        e = self.ensemble
        return self._outputs(e.parameters, e.buffers, inputs)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses [K] of outputs [K, B, C] against targets [B]."""
        return self._losses(outputs, targets)


class OneByOneEngine:
    """The same as `FusedEngine` with a plain loop over cells: for what vmap cannot do."""

    def __init__(self, ensemble: Ensemble, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.ensemble = ensemble
        self.loss = loss

    def _each_cell(self) -> Iterator[tuple[Tensors, Tensors]]:
        """Parameters and buffers of each cell; every cell draws the same random numbers."""
        e = self.ensemble
        with _rewound_random_state(e.theta.device) as rewind:
            for k in range(len(e.theta)):
                rewind()
                parameters = {name: p[k] for name, p in e.parameters.items()}
                yield parameters, {name: b[k] for name, b in e.buffers.items()}

    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        gradients, losses = torch.zeros_like(self.ensemble.theta), []
        for k, (parameters, buffers) in enumerate(self._each_cell()):
            leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            state = {**leaves, **buffers}
            loss = self.loss(functional_call(self.ensemble.network, state, (inputs,)), targets)
            found = torch.autograd.grad(
                loss, list(leaves.values()), allow_unused=True, materialize_grads=True
            )
            for name, before in buffers.items():
                if state[name] is not before:  # assigned anew rather than updated in place
                    before.copy_(state[name].detach())
            gradients[k] = torch.cat([g.reshape(-1) for g in found])
            losses.append(loss.detach())
        return gradients, torch.stack(losses)

    def outputs(self, inputs: Tensor) -> Tensor:  # noqa: D102
        network = self.ensemble.network
        return torch.stack(
            [functional_call(network, cell, (inputs,)) for cell in self._each_cell()]
        )

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        return torch.stack([self.loss(cell_outputs, targets) for cell_outputs in outputs])


Engine = FusedEngine | OneByOneEngine


@contextmanager
def _rewound_random_state(device: torch.device) -> Iterator[Callable[[], None]]:
    """Yields a function that sets torch's generators back to where they are now."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)

    yield rewind


@contextmanager
def _quiet_fallbacks() -> Iterator[None]:
    """Without torch's warning that vmap does an operation (LSTM, attention) cell by cell."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


@torch.random.fork_rng(devices=[])
def why_not_fused(task: TaskProtocol, data: Data) -> str | None:
    """Why the task's network must be trained one by one; None if it fuses.

    Tries one training and one evaluation batch on two cells.
    """
    ensemble = Ensemble(task.network(), 2, "cpu", torch.float32)
    engine = FusedEngine(ensemble, task.loss)
    data = data.to("cpu", torch.float32)
    inputs, targets = data.train_inputs[:4], data.train_targets[:4]
    try:
        with _quiet_fallbacks():
            ensemble.network.train()
            engine.gradient(inputs, targets)
            ensemble.network.eval()
            with torch.no_grad():
                engine.losses(engine.outputs(inputs), targets)
    except Exception as e:  # vmap raises many kinds; a true fault shows one by one too
        return f"{type(e).__name__}: {str(e).strip().splitlines()[0]}"
    return None


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
    fuse: bool = True,
    on_step: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train the cells for the panel's epochs and test them after each.

    Args:
        data: the task's data on `device` in the precision of `options`.
        panel: pair, schedule, budget; its grid is not looked at.
        cells: the K cells.
        seed: decides start weights, batches, augmentation and dropout.
        fuse: False trains cell by cell (see `why_not_fused`).
        on_step: called before each step and test batch; what it raises ends the training.
    """
    started = time.perf_counter()
    if panel.epochs is None:
        raise ValueError(f"panel '{panel.name}' has no epochs: resolve the study first")
    dtype = getattr(torch, options.precision)
    gpus = [device] if device.startswith("cuda") else []
    with torch.random.fork_rng(gpus), _quiet_fallbacks():
        torch.manual_seed(seed)
        ensemble = Ensemble(task.network(), len(cells), device, dtype)
        engine = (FusedEngine if fuse else OneByOneEngine)(ensemble, task.loss)
        optimizer = _optimizer(panel, cells, ensemble, options)
        recorder = _Recorder(len(cells), panel.epochs, chance_error(task))
        batches = _Batches(task, data, batch_size, seed)
        for epoch in range(panel.epochs):
            loss_sum = torch.zeros(len(cells), device=device, dtype=dtype)
            ensemble.network.train()
            for t, inputs, targets in batches.of_epoch(epoch):
                on_step()
                gradients, losses = engine.gradient(inputs, targets)
                loss_sum += losses * len(targets)
                eta = panel.schedule.eta(t, panel.epochs)
                scale = _lambda_scale(panel, t, batches)
                optimizer.step(gradients, eta, scale)
            train_loss = loss_sum / len(data.train_targets)
            tested = evaluate(engine, data, on_step)
            recorder.add(epoch, train_loss, *tested, ensemble.theta)
    return recorder.result(time.perf_counter() - started)


def _optimizer(
    panel: Panel, cells: Sequence[Cell], ensemble: Ensemble, options: Options
) -> PairOptimizer:
    theta = ensemble.theta
    return PairOptimizer(
        PAIRS[panel.pair],
        theta,
        theta.new_tensor([cell.alpha for cell in cells]),
        theta.new_tensor([cell.lambda_ for cell in cells]),
        options,
        None if options.decay_1d else ensemble.matrices_only(),
    )


class _Batches:
    """The training batches of each epoch: shuffled, the last partial one kept."""

    def __init__(self, task: TaskProtocol, data: Data, size: int, seed: int) -> None:
        self.task, self.data, self.size = task, data, size
        self.examples = len(data.train_targets)
        self.per_epoch = math.ceil(self.examples / size)
        self.order = _stream(seed, 0)
        self.augmentation = _stream(seed, 1)

    def of_epoch(self, epoch: int) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Time t in epochs, inputs [B, …] and targets [B] of each batch."""
        device = self.data.train_targets.device
        order = torch.randperm(self.examples, generator=self.order).to(device)
        for i, indices in enumerate(order.split(self.size)):
            inputs = self.task.augment(self.data.train_inputs[indices], self.augmentation)
            yield epoch + i / self.per_epoch, inputs, self.data.train_targets[indices]


def _lambda_scale(panel: Panel, t: float, batches: _Batches) -> float:
    """What turns the grid's λ into the λ of the step at time `t` (epochs)."""
    if not panel.normalized:
        return 1.0
    cycle = panel.schedule.cycle(t, panel.epochs or 0)
    return normalizer(batches.size, batches.examples, cycle)


@torch.no_grad()
def evaluate(
    engine: Engine, data: Data, on_step: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """Mean test loss and test error in percent of every cell, each [K].

    `on_step` is called before each batch; what it raises ends the evaluation.
    """
    engine.ensemble.network.eval()
    theta = engine.ensemble.theta
    examples = len(data.test_targets)
    loss, wrong = theta.new_zeros(len(theta)), theta.new_zeros(len(theta))
    size = max(1, EVALUATION_SLICE // len(theta))
    for inputs, targets in zip(
        data.test_inputs.split(size), data.test_targets.split(size), strict=True
    ):
        on_step()
        outputs = engine.outputs(inputs)
        loss += engine.losses(outputs, targets) * len(targets)
        wrong += (outputs.argmax(dim=-1) != targets).sum(dim=-1)
    return loss / examples, 100 * wrong / examples


class _Recorder:
    """Collects the curves, and notices which cells diverged."""

    def __init__(self, cells: int, epochs: int, chance: float) -> None:
        self.chance = chance
        self.curves = {m: np.full((cells, epochs), np.nan, np.float32) for m in METRICS}
        self.diverged_epoch = np.zeros(cells, np.int64)

    def add(
        self, epoch: int, train_loss: Tensor, test_loss: Tensor, test_error: Tensor, theta: Tensor
    ) -> None:
        """Take the values after an epoch, each [K]; `theta` [K, P] is searched for non-finite."""
        # In the curves' precision: a float64 loss of 1e200 would be recorded as infinite.
        train_loss, test_loss = train_loss.float(), test_loss.float()
        finite = train_loss.isfinite() & test_loss.isfinite() & theta.sum(dim=1).isfinite()
        newly = (self.diverged_epoch == 0) & ~finite.cpu().numpy()
        self.diverged_epoch[newly] = epoch + 1
        alive = self.diverged_epoch == 0
        for metric, values in zip(METRICS, (train_loss, test_loss, test_error), strict=True):
            self.curves[metric][alive, epoch] = values.cpu().numpy()[alive]
        self.curves["test_error"][~alive, epoch] = self.chance

    def result(self, seconds: float) -> Outcome:
        """Everything collected."""
        return Outcome(self.curves, self.diverged_epoch, seconds)
