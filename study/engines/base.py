"""What every engine does.

Letters: K cells of the chunk, P parameters of one cell, B batch, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from warnings import catch_warnings, filterwarnings

import torch
from torch import Tensor
from torch.func import functional_call

from study.engines.ensemble import Ensemble, Tensors
from study.metrics import TOP5, metrics_of
from study.pairs import TensorFunction
from study.spec import Options
from study.tasks.task import TaskProtocol

Run = Callable[..., Sequence[Tensor]]
Shapes = tuple[torch.Size, ...]
Key = tuple[str, Shapes]
Libraries = Mapping[Key, str]


class Programs:
    """What one worker has traced of one task, under one study's options, for chunk after chunk.

    Attributes:
        graphs: what is replayed, by its name and the shapes of its arguments.
        libraries: names of those that are compiled already: they need not be traced to be found.
    """

    def __init__(self, libraries: Libraries | None = None) -> None:
        self.graphs: dict[Key, Run] = {}
        self.libraries = libraries or {}


class Engine(ABC):
    """Gradients and scores of all copies of an ensemble."""

    traced = False  # whether each new number of cells costs time

    def __init__(
        self,
        ensemble: Ensemble,
        task: TaskProtocol,
        options: Options,
        programs: Programs | None = None,
    ) -> None:
        self.ensemble = ensemble
        self.task = task
        self.options = options
        self.programs = programs or Programs()
        self.metrics = metrics_of(task.classes)[1:]

    @abstractmethod
    def gradient(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients [K, P] and losses [K] on one batch; moves the buffers."""

    @abstractmethod
    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:
        """Per test metric its sum over the batch, [K]; errors are counts."""

    def program(self, function: TensorFunction, name: str) -> TensorFunction:
        """A function of tensors that may work in place, as fast as this engine can make it."""
        return function

    def cell_loss(
        self, p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Loss of one cell, and its buffers afterwards."""
        state = {**p, **b}
        outputs = self.called(state, inputs)
        return self.task.loss(outputs, targets), {name: state[name] for name in b}

    def cell_outputs(self, p: Tensors, b: Tensors, inputs: Tensor) -> Tensor:
        """Outputs [B, C] of one cell."""
        return self.called({**p, **b}, inputs)

    def called(self, state: Tensors, inputs: Tensor) -> Tensor:
        """The network's outputs [B, C], in the precision of its parameters."""
        theta, bf16 = self.ensemble.theta, self.options.bf16
        if self.options.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(theta.device.type, torch.bfloat16, enabled=bf16):
            outputs: Tensor = functional_call(self.ensemble.network, state, (inputs,))
        return outputs.to(theta.dtype) if bf16 else outputs

    def sums(self, outputs: Tensor, losses: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Per test metric its sum over the batch, [K], of outputs [K, B, C] and losses [K]."""
        found = {
            "test_loss": losses * len(targets),
            "test_error": (outputs.argmax(dim=-1) != targets).sum(dim=-1),
        }
        if TOP5 in self.metrics:
            five = outputs.topk(5, dim=-1).indices
            found[TOP5] = (five != targets[:, None]).all(dim=-1).sum(dim=-1)
        return tuple(found[metric] for metric in self.metrics)


@contextmanager
def quiet_fallbacks() -> Iterator[None]:
    """Without torch's warning that vmap does an operation (LSTM, attention) cell by cell."""
    with catch_warnings():
        filterwarnings("ignore", message="There is a performance drop")
        yield


@contextmanager
def rewound_random_state(device: torch.device) -> Iterator[Callable[[], None]]:
    """Yields a function that sets torch's generators back to where they are now."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)

    yield rewind
