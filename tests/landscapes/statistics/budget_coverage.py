"""How often a cheap budget is said to be enough, and rightly, on simulated landscapes.

`python -m tests.landscapes.statistics.budget_coverage` makes the table of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import click
import numpy as np
import pandas as pd

from landscape_study.landscapes.statistics.budget_ranks import BudgetRank, budget_rank
from landscape_study.landscapes.statistics.comparison import ranks
from tests.landscapes.surfaces import OCTAVES, frame_of, quadratic

CURVE = 0.1  # points that an octave beside the best α or λ costs
SHARE = 0.33
# Octaves of α by which the best cell moves, noise of a run in points, and seeds.
SETTINGS = [
    *((moved, noise, 3) for moved in (0.0, 1.0, 4.0) for noise in (0.03, 0.3)),
    (1.0, 0.3, 1),
]


def bowl(moved: float) -> np.ndarray:
    """The errors without noise; no two are the same."""
    return quadratic(CURVE, 0.0, CURVE, off=(moved + 0.1, 0.23))


def simulated(
    moved: float, noise: float, seeds: int, draw: int, *, chosen: bool
) -> tuple[BudgetRank, float, float]:
    """One pair of budgets; the rank correlation and the loss without noise."""
    dice = np.random.default_rng((draw, round(1000 * noise), seeds))
    cheap, dear = bowl(0.0), bowl(moved)
    runs = [one + noise * dice.standard_normal((seeds, *one.shape)) for one in (cheap, dear)]
    means = runs[0].mean(axis=0)
    kept = np.ones_like(means, dtype=bool)
    if chosen:
        kept = means <= np.sort(means, axis=None)[int(SHARE * means.size)]
    frames = [frame_of(runs[0]), _only(frame_of(runs[1]), kept)]
    found = budget_rank(*frames)
    truth = np.corrcoef(*(ranks(one[kept]) for one in (cheap, dear)))[0, 1]
    best = np.where(kept, cheap, np.inf).argmin()
    return found, float(truth), float(dear.flat[best] - dear[kept].min())


def _only(frame: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    rows, cols = (np.searchsorted(2.0**OCTAVES, frame[axis]) for axis in ("alpha", "lambda"))
    return frame[kept[rows, cols]]


def shares(
    moved: float, noise: float, seeds: int, *, chosen: bool, repeats: int
) -> Sequence[float]:
    """In which share the intervals of rank and loss held the truth; enough, and not enough."""
    counts = np.zeros(4)
    for draw in range(repeats):
        found, rank, lost = simulated(moved, noise, seeds, draw, chosen=chosen)
        held = [
            one.low - 1e-9 <= truth <= one.high + 1e-9
            for one, truth in ((found.rank, rank), (found.lost, lost))
        ]
        counts += [*held, found.is_enough is True, found.is_enough is False]
    return [float(count) for count in counts / repeats]


@click.command()
@click.option("--repeats", default=120, show_default=True)
def main(repeats: int) -> None:
    """Print the table."""
    click.echo("| moved | costs | noise | seeds | cells | rank | lost | enough | not enough |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for (moved, noise, seeds), chosen in product(SETTINGS, (False, True)):
        found = shares(moved, noise, seeds, chosen=chosen, repeats=repeats)
        told = " | ".join(f"{share:.2f}" for share in found)
        cells = "best third" if chosen else "all"
        dear = bowl(moved)
        cost = dear.flat[bowl(0.0).argmin()] - dear.min()
        setting = f"{moved:g} | {cost:g} | {noise:g} | {seeds} | {cells}"
        click.echo(f"| {setting} | {told} |")


if __name__ == "__main__":
    main()
