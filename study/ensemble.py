"""Many copies of a network at once: their losses, gradients and outputs.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from study.tasks.task import Data, TaskProtocol, normalized

Tensors = dict[str, Tensor]


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
def quiet_fallbacks() -> Iterator[None]:
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
    targets = data.train_targets[:4]
    inputs = normalized(task, data.train_inputs[:4], torch.float32)
    try:
        with quiet_fallbacks():
            ensemble.network.train()
            engine.gradient(inputs, targets)
            ensemble.network.eval()
            with torch.no_grad():
                engine.losses(engine.outputs(inputs), targets)
    except Exception as e:  # vmap raises many kinds; a true fault shows one by one too
        return f"{type(e).__name__}: {str(e).strip().splitlines()[0]}"
    return None
