"""What every engine does: train the cells of a chunk step by step, and test them.

Letters: K cells of the chunk, B batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, filterwarnings

import torch
from torch import Tensor

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.regularization import training_loss
from landscape_study.study.tasks.task import TaskProtocol, measures_of
from landscape_study.study.training.compiling.library import Compiled
from landscape_study.study.training.own_optimizer import OwnOptimizer

Tensors = dict[str, Tensor]
State = dict[str, Any]
Run = Callable[..., Sequence[Tensor]]
Shapes = tuple[torch.Size, ...]
Key = tuple[str, Shapes]
Libraries = Mapping[Key, str]


PLAIN = Options()


class Programs:
    """What one worker has traced of one task, in one study's precision, for chunk after chunk.

    Attributes:
        graphs: what is replayed, by its name and the shapes of its arguments.
        compiled: what is called for each cell, by its name and the shapes of one cell's arguments;
            None where it cannot be compiled.
        libraries: names of what is compiled already, by the same: that need not be traced.
        known_only: whether nothing is compiled that is not yet.
        orders: in which the network draws random numbers, once it was looked at (see `drawing`).
        do_without: called with why something cannot be compiled here, and is captured instead;
            None where that is an error.
    """

    def __init__(
        self,
        libraries: Libraries | None = None,
        do_without: Callable[[str], None] | None = None,
        *,
        known_only: bool = False,
    ) -> None:
        self.graphs: dict[Key, Run] = {}
        self.compiled: dict[Key, Compiled | None] = {}
        self.libraries = dict(libraries or {})
        self.do_without, self.known_only = do_without, known_only
        self.orders: list[tuple[int, ...]] | None = None


@dataclass(frozen=True)
class Batch:
    """What a step needs.

    Attributes:
        inputs: [B, …], which are the step's to change, as the targets [B, …] are.
        eta: schedule multiplier.
        lambda_scale: what λ of the cells is multiplied by (`pairs.normalization`).
    """

    inputs: Tensor
    targets: Tensor
    eta: float = 1.0
    lambda_scale: float = 1.0


@dataclass(frozen=True)
class Assignment:
    """What an engine is to train: K cells of one pair.

    Attributes:
        task: with objects of its own where its functions keep state (see `own_copy`).
        arguments: of an optimizer that is the pair's code, as a panel says them.
    """

    task: TaskProtocol
    pair: str
    cells: Sequence[Cell]
    options: Options = PLAIN
    device: str = "cpu"
    arguments: Mapping[str, Any] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters, floating-point inputs and losses."""
        dtype: torch.dtype = getattr(torch, self.options.precision)
        return dtype


class Engine(ABC):
    """K networks in training, which all start as `task.network()` gives them.

    It draws its random numbers from the generators of torch, numpy and Python, in the same order
    as a plain loop over one network does.

    Attributes:
        optimizer: of the assignment's pair; does the steps, and measures them.
    """

    optimizer: PairOptimizer | OwnOptimizer

    at_once = 1  # how many batches it is best given together
    traced = False  # whether what Python decides is decided once, when a step is traced
    fixed = False  # whether each new number of cells costs time
    together = True  # whether it trains many cells at once; else it is given one cell

    def __init__(self, assignment: Assignment, programs: Programs | None = None) -> None:
        self.assignment = assignment
        self.task, self.options = assignment.task, assignment.options
        self.programs = programs or Programs()
        self.measures = measures_of(self.task)
        self.training_loss = training_loss(self.task, self.options.label_smoothing)

    @property
    def gradient_name(self) -> str:
        """How what is traced of a gradient is called: apart, where options change the loss."""
        own = {
            "label_smoothing": self.options.label_smoothing or None,
            "dropout": self.options.dropout,
        }
        said = [f", {name} {value}" for name, value in own.items() if value is not None]
        return "gradient" + "".join(said)

    @abstractmethod
    def train(self, training: bool) -> None:
        """Switch the networks to training, or to testing."""

    def steps(self, batches: Sequence[Batch], loss_sum: Tensor) -> None:
        """One step of all cells on each batch, one after the other.

        Args:
            loss_sum: of examples, [K]; that of each batch before its step is added.
        """
        for batch in batches:
            losses = self.step(batch.inputs, batch.targets, batch.eta, batch.lambda_scale)
            loss_sum += losses * len(batch.targets)

    @abstractmethod
    def step(self, inputs: Tensor, targets: Tensor, eta: float, lambda_scale: float) -> Tensor:
        """One step of all cells on one `Batch`; losses before it, [K]."""

    def parts(self, inputs: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor, float]]:
        """The parts of a batch whose gradients make one step, with their shares of it."""
        examples = len(targets)
        size = -(-examples // self.options.accumulate)
        return [
            (some, wanted, len(wanted) / examples)
            for some, wanted in zip(inputs.split(size), targets.split(size), strict=True)
        ]

    def all_scores(self, batches: Sequence[Batch]) -> list[Tensors]:
        """What `scores` gives, of each batch."""
        return [self.scores(batch.inputs, batch.targets) for batch in batches]

    @abstractmethod
    def scores(self, inputs: Tensor, targets: Tensor) -> Tensors:
        """Per measure of the task its sum over the batch, [K]."""

    @abstractmethod
    def parameters(self) -> Tensors:
        """Trained parameters by name, [K, …]."""

    @abstractmethod
    def buffers(self) -> Tensors:
        """What else training may change of the networks' tensors, by name, [K, …]."""

    @abstractmethod
    def finite(self) -> Tensor:
        """Whether all parameters of each cell are finite, [K]."""

    @abstractmethod
    def weight_norm(self) -> Tensor:
        """‖θ‖ of all trained parameters of each cell, [K]."""

    @abstractmethod
    def state(self) -> State:
        """All that the rest of the training depends on, but for random numbers, on the CPU."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Go on where that was the state."""

    @classmethod
    def part(cls, state: State, cells: Sequence[int]) -> State:
        """A state as it would be had only some of the cells been trained; one cell is all."""
        return state

    def laid_out(self, inputs: Tensor) -> Tensor:
        """A batch as it is to lie in memory."""
        if self.options.channels_last and inputs.ndim == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def autocast(self) -> torch.autocast:
        """The roundings of the study's options."""
        kind = self.assignment.device.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self.options.bf16)


@contextmanager
def quiet_fallbacks() -> Iterator[None]:
    """Without torch's warning that vmap does an operation (LSTM, attention) cell by cell."""
    with catch_warnings():
        filterwarnings("ignore", message="There is a performance drop")
        yield
