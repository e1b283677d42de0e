"""How often it is told what explains a landscape, and rightly, on simulated ones.

`python -m tests.landscapes.statistics.explanation_coverage` makes the table of docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np

from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.explanation import TIMESCALE, explanations
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.timescale import timescale
from landscape_study.study.spec.study import Axis, Grid, Panel
from tests.landscapes.surfaces import frame_of

X, Y = np.arange(-4.0, 3.0), np.arange(-7.0, 8.0)  # log2 of α and λ, about a middle
ALPHA, LAMBDA = 2.0**-7, 2.0**-4
EXAMPLES = 6400
Best = Callable[[np.ndarray, float], np.ndarray]  # of octaves of α and of steps: best ones of λ

# What stays at the best λ: itself, α·λ, or 1/(α·λ·steps).
TRUTHS: dict[str, Best] = {
    "λ": lambda x, steps: 0 * x,
    "α·λ": lambda x, steps: -x,
    TIMESCALE: lambda x, steps: -x - steps,
}


def panel_of(
    truth: Best,
    size: int,
    *,
    pair="adamw-torch",
    noise=0.05,
    seeds=3,
    known=True,
    draw=0,
    curve=0.25,
    rise=0.02,
) -> PanelData:
    """A panel of a batch size, whose error rises with the distance from the best λ.

    Args:
        curve: points that an octave beside the best λ costs; `rise`: beside the best α.
    """
    steps = EXAMPLES / size
    place = truth(X, math.log2(steps / 100))[:, None]
    error = 3 + curve * (Y[None] - place) ** 2 + rise * X[:, None] ** 2
    dice = np.random.default_rng((size, draw))
    runs = error + noise * dice.standard_normal((seeds, *error.shape))
    x, y = X + math.log2(ALPHA), Y + math.log2(LAMBDA)
    name = f"{pair}-{size}"
    facts = {"panel": name, "state": "finished", "diverged": False}
    frame = frame_of(runs, x, y, **facts)
    grid = Grid(alpha=Axis(values=2.0**x), lambda_=Axis(values=2.0**y))
    panel = Panel(name=name, pair=pair, epochs=6, grid=grid, batch_size=size)
    own = timescale(PAIRS[pair], Options(), int(steps)) if known else None
    return PanelData(name, landscape(frame, panel, timescale=own), frame, panel)


# What each candidate moves by over two panels of 200 and 50 steps an epoch, by truth, octaves:
# over 7 octaves of α the deviation is 2, over two panels two octaves apart it is 1.
MOVES = {
    "λ": {"λ": 0.0, "α·λ": 2.0, TIMESCALE: math.hypot(2, 1)},
    "α·λ": {"λ": 2.0, "α·λ": 0.0, TIMESCALE: 1.0},
    TIMESCALE: {"λ": math.hypot(2, 1), "α·λ": 1.0, TIMESCALE: 0.0},
}
SIZES = (32, 128)


@dataclass(frozen=True)
class Simulated:
    """What came of simulated studies of a truth.

    Attributes:
        told: in how many something was told.
        wrong: in how many of these another than the truth.
        held: the share of them in which the interval of each candidate held what it moves by.
    """

    told: int
    wrong: int
    held: dict[str, float]


def simulated(truth: str, *, noise: float, repeats: int) -> Simulated:
    """Studies of two batch sizes under much noise."""
    told = wrong = 0
    held = dict.fromkeys(MOVES[truth], 0)
    for draw in range(repeats):
        panels = [panel_of(TRUTHS[truth], size, noise=noise, draw=draw) for size in SIZES]
        (found,) = explanations(panels)
        told += found.is_told
        wrong += found.is_told and found.best != (truth,)
        for one in found.candidates:
            held[one.name] += one.spread.low <= MOVES[truth][one.name] <= one.spread.high
    return Simulated(told, wrong, {name: count / repeats for name, count in held.items()})


@click.command()
@click.option("--repeats", default=120, show_default=True)
def main(repeats: int) -> None:
    """Print the table."""
    click.echo(
        "| truth | noise | told | wrong | λ | α·λ | timescale |\n|---|---|---|---|---|---|---|"
    )
    for truth in TRUTHS:
        for noise in (0.1, 0.4, 0.8):
            found = simulated(truth, noise=noise, repeats=repeats)
            held = " | ".join(f"{found.held[name]:.2f}" for name in MOVES)
            shares = f"{found.told / repeats:.2f} | {found.wrong / repeats:.2f}"
            click.echo(f"| {truth} | {noise:g} | {shares} | {held} |")


if __name__ == "__main__":
    main()
