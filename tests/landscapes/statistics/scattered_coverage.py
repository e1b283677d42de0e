"""How often the intervals of scattered designs hold the truth, over designs, laws and sizes.

    python -m tests.landscapes.statistics.scattered_coverage [--repeats 40]

Loss bowls that saturate, as those of `coverage`, under noise, at random places or crowded around
the best as a sampler's trials are. The truth is the statistic of the bowl without noise, on the
grid and in the points that each sample uses. Prints a row for each setting: the share of
intervals that hold it, their median width, and how often each verdict comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import click
import numpy as np
import pandas as pd

from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.interpolation import panel_surface
from landscape_study.landscapes.statistics.separability import (
    TAU,
    Separability,
    separability,
)
from landscape_study.study.spec.metric import SPAN, Metric

LOSS = Metric("loss", "loss")
LOW, HIGH = np.array([-7.0, -8.0]), np.array([6.0, 8.0])  # octaves of α and λ from the best
STARTS = 0.3  # share of a sampler's trials that are random


@dataclass(frozen=True)
class Design:
    """A kind of bowl, and where its trials lie."""

    trials: int = 40
    slope: float = -1.0  # octaves of the best λ per octave of α
    crowded: bool = False  # around the best of those before, as by a sampler
    noise: float = 0.02  # standard deviation of a run; the loss lies between 0.2 and 1.2
    grows: bool = False  # whether the noise is that share of the loss itself
    seed: int = 0


DESIGNS = {
    f"{trials} {'crowded' if crowded else 'random'}, slope {slope:g}": Design(
        trials, slope, crowded
    )
    for slope in (-1.0, 0.0)
    for crowded in (False, True)
    for trials in (25, 40, 80)
} | {"40 random, slope -1, noise that grows": Design(grows=True)}


def bowl(places: np.ndarray, slope: float) -> np.ndarray:
    """Losses without noise at places [..., 2] in octaves."""
    x, y = places[..., 0], places[..., 1]
    z = 0.5 * (x / 3) ** 2 + 0.5 * ((y - slope * x) / 1.5) ** 2
    return 1.2 - np.exp(-z)


def trial_places(design: Design, rng: np.random.Generator) -> np.ndarray:
    """Where the trials lie, [N, 2] octaves: each crowded one near one of the best five before."""
    places = rng.uniform(LOW, HIGH, (design.trials, 2))
    if design.crowded:
        for i in range(int(STARTS * design.trials), design.trials):
            best = places[np.argsort(bowl(places[:i], design.slope))[:5]]
            step = rng.normal(size=2) * (HIGH - LOW) / 10
            places[i] = np.clip(best[rng.integers(len(best))] + step, LOW, HIGH)
    return places


def frame_of_design(design: Design) -> pd.DataFrame:
    """A landscape frame of the trials."""
    rng = np.random.default_rng([design.seed, design.trials, design.crowded])
    places = trial_places(design, rng)
    loss = bowl(places, design.slope)
    noise = design.noise * (loss if design.grows else 1.0) * rng.normal(size=loss.shape)
    return pd.DataFrame(
        {"alpha": 2.0 ** places[:, 0], "lambda": 2.0 ** places[:, 1], "loss": loss + noise}
    )


def true_values(design: Design, frame: pd.DataFrame, found: Separability) -> dict[str, float]:
    """The statistics of the bowl without noise, on the grid and with the τ of a sample."""
    seen = panel_surface(frame, span=SPAN, metric=LOSS)
    places = np.stack(np.meshgrid(seen.rows, seen.columns, indexing="ij"), axis=-1)
    points = seen.units.points(bowl(places, design.slope))
    tau = found.tau / found.units.size
    axes = {"x": seen.rows, "y": seen.columns, "span": SPAN * tau / TAU, "tau": tau}
    return {
        "tilt": float(coupling.tilt(points, **axes)),
        "drift": float(coupling.drift(points, **axes)),
    }


def repeated(design: Design, repeats: int) -> list[Design]:
    """The same kind of design with other places and noise."""
    return [replace(design, seed=seed) for seed in range(repeats)]


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=40, show_default=True)
def main(repeats: int) -> None:
    """Print how often intervals hold the truth."""
    click.echo("| design | tilt held | width | drift held | width | coupled | separable |")
    click.echo("|---|---|---|---|---|---|---|")
    for name, design in DESIGNS.items():
        rows, verdicts = [], []
        for one in repeated(design, repeats):
            frame = frame_of_design(one)
            found = separability(frame, LOSS)
            verdicts.append(found.verdict)
            for statistic, true in true_values(one, frame, found).items():
                estimate = getattr(found, statistic)
                if estimate.has_interval and np.isfinite(true):
                    held = estimate.low <= true <= estimate.high
                    rows.append((statistic, held, estimate.high - estimate.low))
        told = pd.DataFrame(rows, columns=["statistic", "held", "width"]).groupby("statistic")
        held, width = told["held"].mean(), told["width"].median()
        numbers = [f"{held[s]:.2f} | {width[s]:.2f}" for s in ("tilt", "drift")]
        shares = [f"{verdicts.count(v) / repeats:.2f}" for v in ("coupled", "separable")]
        click.echo(f"| {name} | " + " | ".join(numbers + shares) + " |")


if __name__ == "__main__":
    main()
