"""Values between the cells of a refined grid, so that it can be read as a whole one.

A refined grid has cells beside those of the grid, on lines of their own, which cross the others
where nothing was trained. There values are interpolated in log α and log λ: on the lines of the
grid between the nearest cells along λ, then on those between them along α. So every cell counts
for as much of the axes as it stands for, however fine the grid is around it.

Shapes: A values of α, L positive values of λ, both ascending in log2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class _Between:
    """Places on lines, each between two others of its line, [K] each."""

    line: Indices
    place: Indices
    before: Indices
    after: Indices
    share: Floats  # of the way from before to after

    def fill(self, lines: Floats) -> None:
        """Interpolate in place, [..., lines, places]."""
        before, after = lines[..., self.line, self.before], lines[..., self.line, self.after]
        lines[..., self.line, self.place] = (1 - self.share) * before + self.share * after


@dataclass(frozen=True, eq=False)
class Filling:
    """Where values of a refined grid are interpolated.

    Attributes:
        rows: which α are those of the grid, [A].
        columns: which λ, [L].
    """

    rows: Mask
    columns: Mask
    along_lambda: _Between
    along_alpha: _Between

    def __call__(self, values: Floats) -> Floats:
        """The values [..., A, L], with interpolated ones where there is no cell."""
        filled = values.copy()
        self.along_lambda.fill(filled)
        self.along_alpha.fill(np.swapaxes(filled, -1, -2))  # a view
        return filled

    def of_grid(self, values: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """The values of the grid alone, [..., A', L']."""
        return np.asarray(values[..., self.rows, :][..., self.columns])


def filling(cells: Mask, of_grid: Mask, x: Floats, y: Floats) -> Filling | None:
    """How to fill a refined grid; None where the cells of its grid do not fill it.

    Args:
        cells: where there are any, [A, L].
        of_grid: which of them are those of the grid, not beside it, [A, L].
        x: log2 α, [A].
        y: log2 λ, [L].
    """
    rows, columns = (np.asarray(of_grid.any(axis=axis)) for axis in (1, 0))
    ends = rows[[0, -1]].all() and columns[[0, -1]].all()
    if not ends or not of_grid[np.ix_(rows, columns)].all():
        return None
    along_lambda = _between(cells & rows[:, None], rows[:, None] & ~cells, y)
    along_alpha = _between((cells | rows[:, None]).T, (~rows[:, None] & ~cells).T, x)
    return Filling(rows, columns, along_lambda, along_alpha)


def _between(known: Mask, unknown: Mask, places: Floats) -> _Between:
    """The unknown places of lines between the nearest known ones, both [lines, places]."""
    index = np.broadcast_to(np.arange(places.size), known.shape)
    before = np.maximum.accumulate(np.where(known, index, 0), axis=1)
    after = np.minimum.accumulate(np.where(known, index, places.size - 1)[:, ::-1], axis=1)[
        :, ::-1
    ]
    line, place = np.nonzero(unknown)
    low, high = before[line, place], after[line, place]
    share = (places[place] - places[low]) / (places[high] - places[low])
    return _Between(line, place, low, high, share)
