"""How often 95 % intervals hold the truth on grids that were refined around their best cells.

    python -m tests.landscapes.statistics.refined_coverage [--repeats 120]

Loss bowls as those of `coverage`, on grids an octave apart; some are so narrow that such a grid
shows no shape. Each is seen as it is, then refined once and twice around the best cells of what
was seen, as `landscape refine` does, then on a whole grid of half octaves. The truth is the
statistic of the bowl without noise on the same cells. Prints a row for each: the share of
intervals of tilt and drift that hold it, how wide that of the tilt is, and which verdicts were
given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click
import numpy as np
import pandas as pd

from landscape_study.landscapes.growing.refining import cells_between
from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.interpolation import panel_surface
from landscape_study.landscapes.statistics.separability import TAU, Separability, separability
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.metric import SPAN, Metric
from landscape_study.study.spec.study import Panel

LOSS = Metric("loss", "loss")
SEEN = ("octaves", "refined", "refined twice", "half octaves")
COUNTED = ("tilt", "drift")

Found = tuple[Separability, pd.DataFrame]


@dataclass(frozen=True)
class Bowl:
    """A kind of landscape.

    Attributes:
        slope: octaves of the best λ per octave of α.
        long: octaves of α, and `wide` of λ, at which the loss rises by a third of its depth.
        values: of α and of λ, an octave apart.
        noise: standard deviation of a run, of the depth.
    """

    slope: float = -1.0
    long: float = 3.0
    wide: float = 1.5
    values: int = 11
    seeds: int = 3
    noise: float = 0.025

    def grid(self, step: float = 1.0) -> Grid:
        """With the best place between its cells, so many octaves apart."""
        half = (self.values - 1) / 2
        axis = Axis(values=tuple((2.0 ** np.arange(-half, half + step / 2, step)).tolist()))
        return Grid(alpha=axis, lambda_=axis)

    def loss(self, cell: Cell) -> float:
        """Without noise."""
        x, y = np.log2(cell.alpha) - 0.3, np.log2(cell.lambda_) + 0.2
        z = 0.5 * (x / self.long) ** 2 + 0.5 * ((y - self.slope * x) / self.wide) ** 2
        return float(1.2 - np.exp(-z))


BOWLS = {
    "as it is": Bowl(),
    "upright": Bowl(slope=0.0),
    "1 seed": Bowl(seeds=1),
    "narrow": Bowl(long=1.2, wide=0.4, values=7),
    "narrow, upright": Bowl(slope=0.0, long=2.0, wide=0.4, values=7),
}


def seen(bowl: Bowl, repeats: int, replicates: int = 250) -> Iterator[list[Found]]:
    """What is found in landscapes of a kind, seen in the ways of `SEEN`, with their frames."""
    rng = np.random.default_rng(list(repr(bowl).encode()))
    for _ in range(repeats):
        grid, frames = bowl.grid(), [pd.DataFrame()]
        new: tuple[Cell, ...] = grid.cells()
        for _ in SEEN[:-1]:
            rows = _rows(bowl, new, grid, rng)
            frames.append(pd.concat([frames[-1], rows], ignore_index=True))
            field = landscape(frames[-1], Panel(name="bowl", pair="sgd", grid=grid), LOSS)
            new = cells_between(field, grid)
            grid = grid.with_extra((*grid.extra, *new))
        half = bowl.grid(0.5)
        frames.append(_rows(bowl, half.cells(), half, rng))
        yield [(separability(f, LOSS, replicates=replicates), f) for f in frames[1:]]


def _rows(
    bowl: Bowl, cells: tuple[Cell, ...], grid: Grid, rng: np.random.Generator
) -> pd.DataFrame:
    """Runs of these cells."""
    return pd.DataFrame(
        [
            {
                "panel": "bowl",
                "alpha": cell.alpha,
                "lambda": cell.lambda_,
                "seed": seed,
                "state": "finished",
                "loss": bowl.loss(cell) + bowl.noise * rng.normal(),
                "diverged": False,
                "extra": not grid.alone.has(cell),
            }
            for seed in range(bowl.seeds)
            for cell in cells
        ]
    )


def true_values(bowl: Bowl, found: Separability, frame: pd.DataFrame) -> dict[str, float]:
    """Tilt and drift of the bowl without noise on the same cells, with the τ of a sample."""
    alone = frame[frame["seed"] == 0]
    losses = [bowl.loss(cell) for cell in map(Cell, alone["alpha"], alone["lambda"])]
    surface = panel_surface(alone.assign(loss=losses), span=SPAN, metric=LOSS)
    surface = surface.counted_in(found.units)
    tau = found.units.points(np.array(found.tau)).item()
    basin = {"x": surface.rows, "y": surface.columns, "span": SPAN * tau / TAU, "tau": tau}
    return {name: float(getattr(coupling, name)(surface.error, **basin)) for name in COUNTED}


def row(bowl: Bowl, found: list[Found]) -> list[str]:
    """The cells of a row of the table."""
    cells = []
    for name in COUNTED:
        held = [
            estimate.low - 1e-9 <= true <= estimate.high + 1e-9
            for one, frame in found
            if (estimate := getattr(one, name)).has_interval
            and np.isfinite(true := true_values(bowl, one, frame)[name])
        ]
        cells.append(f"{np.mean(held):.2f}" if held else "–")
    widths = [one.tilt.high - one.tilt.low for one, _ in found if one.tilt.has_interval]
    cells.append(f"{np.mean(widths):.2f}" if widths else "–")
    verdicts = [one.verdict for one, _ in found]
    return [*cells, *(f"{verdicts.count(v) / len(found):.2f}" for v in ("coupled", "separable"))]


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=120, show_default=True)
def main(repeats: int) -> None:
    """Print how often intervals hold the truth."""
    click.echo("| bowl | seen | cells | tilt | drift | width of tilt | coupled | separable |")
    click.echo("|---" * 8 + "|")
    for name, bowl in BOWLS.items():
        every = list(seen(bowl, repeats))
        for i, how in enumerate(SEEN):
            found = [one[i] for one in every]
            count = np.mean([len(frame) / bowl.seeds for _, frame in found])
            click.echo(f"| {name} | {how} | {count:.0f} | " + " | ".join(row(bowl, found)) + " |")


if __name__ == "__main__":
    main()
