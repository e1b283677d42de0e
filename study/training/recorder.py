"""What an epoch ended with, of each cell: the curves, and which cells diverged.

Letters: K cells that are trained together, E epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from landscape_study.study.tasks.task import TaskProtocol, measures_of
from landscape_study.study.training.checkpoint import State
from landscape_study.study.training.engines.base import Tensors


class Recorder:
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
