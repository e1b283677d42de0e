"""What some cells of a full grid say, against what all of them say.

    python -m tests.landscapes.statistics.subsets [--cells 40] [--draws 10] [--panel NAME]

Draws random cells of the paper's Figure 2 and of the recorded results, reads them as a scattered
design, and prints for each panel how often the verdict is the full grid's, "cannot tell", a
verdict where the full grid has none, or its contrary, which must never be; and how often the
interval of the tilt holds the full grid's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.landscape import FILLED
from landscape_study.landscapes.reference import reference_panels
from landscape_study.landscapes.statistics.separability import Separability, separability

RESULTS = Path(__file__).parents[3] / "results" / "reference"


@dataclass(frozen=True)
class Counts:
    """How the verdicts of subsets compare with the full grid's; shares of the draws."""

    agree: float
    cannot_tell: float  # where the full grid can
    overreach: float  # a verdict where the full grid has none
    contradict: float
    held: float  # of the tilts' intervals, those that hold the full grid's tilt


STUDIES = (
    "digits-fig1",
    "digits-fig2",
    "digits-supp3",
    "digits-torch",
    "mnist5k-fig2",
    "mnist5k-torch",
)


def full_grids() -> dict[str, pd.DataFrame]:
    """The landscape frames of full grids of test errors, without λ = 0, by name."""
    frames = {one.name: one.cells for one in reference_panels("fig2")}
    for study in STUDIES:
        recorded = pd.read_csv(RESULTS / f"{study}.csv")
        for name, cells in recorded.groupby("panel", sort=False):
            frames[f"{study}/{name}"] = cells
    return {name: cells[cells["lambda"] > 0] for name, cells in frames.items()}


def subset(cells: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """All rows of `count` random cells; of fewer where as many would pass for a grid."""
    places = cells[["alpha", "lambda"]].drop_duplicates()
    most = int(0.9 * FILLED * len(places))
    return cells.merge(places.sample(min(count, most), random_state=seed))


def subset_verdicts(cells: pd.DataFrame, count: int, draws: int) -> Iterator[Separability]:
    for seed in range(draws):
        yield separability(subset(cells, count, seed))


def compare(full: Separability, found: list[Separability]) -> Counts:
    verdicts = np.array([one.verdict for one in found])
    tells, can = verdicts != "cannot tell", full.verdict != "cannot tell"
    agree = verdicts == full.verdict
    known = [one.tilt for one in found if one.tilt.has_interval]
    held = [one.low <= full.tilt.value <= one.high for one in known]
    return Counts(
        agree=float(agree.mean()),
        cannot_tell=float((can & ~tells).mean()),
        overreach=float((tells & (not can)).mean()),
        contradict=float((tells & can & ~agree).mean()),
        held=float(np.mean(held)) if held else float("nan"),
    )


@click.command()
@click.option("--cells", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--draws", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--panel", help="One of them only.")
def main(cells: int, draws: int, panel: str | None) -> None:
    """Print how the verdicts of subsets compare with those of full grids."""
    click.echo("| panel | full grid | agree | cannot tell | overreach | contradict | tilt held |")
    click.echo("|---|---|---|---|---|---|---|")
    for name, frame in full_grids().items():
        if panel in (None, name):
            full = separability(frame)
            one = compare(full, list(subset_verdicts(frame, cells, draws)))
            shares = (one.agree, one.cannot_tell, one.overreach, one.contradict, one.held)
            told = f"{full.verdict} (tilt {full.tilt.value:.2f})"
            numbers = " | ".join(f"{share:.2f}" for share in shares)
            click.echo(f"| {name} | {told} | {numbers} |")


if __name__ == "__main__":
    main()
