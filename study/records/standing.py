"""How trainings stand on their way: what passes between them and whoever stops hopeless ones.

Letters: K cells that are looked at together, E epochs so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from landscape_study.study.spec.study import Cell

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Standing:
    """Where cells of a panel stand that are trained together.

    Attributes:
        cells: each once.
        costs: of the metric after each epoch so far, less being better, [K, E]; infinite from
            where a cell diverged.
    """

    seed: int
    cells: Sequence[Cell]
    costs: npt.NDArray[np.float64]

    @property
    def epoch(self) -> int:
        """How many epochs are over."""
        return int(self.costs.shape[1])


@dataclass(frozen=True)
class Course:
    """The course of a trial of a panel that has ended.

    Attributes:
        costs: of the metric after each epoch, less being better, [E].
        cost: what it ended with.
        diverged: whether it did before the epoch that counts.
        is_pruned: whether it was given up before its end.
    """

    cell: Cell
    seed: int
    costs: npt.NDArray[np.float64]
    cost: float
    diverged: bool = False
    is_pruned: bool = False


class Pruner(Protocol):
    """Decides which trainings of a panel stop before their end."""

    def stops(self, epochs: int) -> Sequence[int]:
        """After which epochs of a budget it looks, ascending, the last one not among them."""
        ...

    def leaving(self, standing: Standing) -> Mask:
        """Which of the cells stop now, [K]."""
        ...
