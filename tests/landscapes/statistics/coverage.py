"""How often 95 % intervals hold the truth, over many kinds of landscapes.

    python -m tests.landscapes.statistics.coverage [--repeats 300]

Loss bowls that saturate, as losses do: a size of the metric, a grid, seeds, a law, noise that may
grow with the metric, cells that are clipped or diverge. The truth is the statistic of the bowl
without noise, in the points that each sample uses. Prints a row for each setting: the share of
intervals that hold it, and which verdicts were given. Then the same for bowls that lie more and
more oblique: what the verdict makes of them, beside what tuning one at a time costs there.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np
import pandas as pd

from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.separability import (
    TAU,
    Separability,
    separability,
)
from landscape_study.study.spec.metric import SPAN, Metric

LOSS = Metric("loss", "loss")
COUNTED = ("tilt", "drift", "interaction", "product", "regret", "worst_regret")


@dataclass(frozen=True)
class Setting:
    """A kind of landscape."""

    size: float = 1.0  # of the metric: the loss lies between 0.2 and 1.2 times as much
    values: int = 11  # of α and of λ
    seeds: int = 3
    slope: float = -1.0  # octaves of the best λ per octave of α
    noise: float = 0.025  # standard deviation of a run, of the size
    grows: bool = False  # whether the noise is that share of the loss itself
    clipped: float = np.inf  # share of the size beyond which only that much is known
    diverges: bool = False  # whether all cells at the largest α diverge


SETTINGS = {
    "as it is": Setting(),
    "of size 0.001": Setting(size=1e-3),
    "of size 1e6": Setting(size=1e6),
    "upright": Setting(slope=0.0),
    "half a slope": Setting(slope=-0.5),
    "3 × 3, 15 seeds": Setting(values=3, seeds=15),
    "5 × 5, 5 seeds": Setting(values=5, seeds=5),
    "20 × 20, 1 seed": Setting(values=20, seeds=1),
    "20 × 20, 2 seeds": Setting(values=20, seeds=2),
    "noise that grows": Setting(grows=True),
    "clipped": Setting(clipped=0.9),
    "diverged": Setting(diverges=True),
}


def bowl(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses without noise, [A, L], with log2 α and log2 λ; the best cell lies inside the grid."""
    half = (setting.values - 1) / 2
    step = 1.0 if setting.values > 4 else 1.5
    x = step * (np.arange(setting.values) - half) - 0.3
    y = step * (np.arange(setting.values) - half) + 0.2
    z = 0.5 * (x[:, None] / 3) ** 2 + 0.5 * ((y - setting.slope * x[:, None]) / 1.5) ** 2
    return setting.size * (1.2 - np.exp(-z)), x, y


def seen(setting: Setting, loss: np.ndarray) -> np.ndarray:
    """What is known of losses [..., A, L]: inf where clipped or diverged."""
    known = np.where(loss < setting.clipped * setting.size, loss, np.inf)
    if setting.diverges:
        known[..., -1, :] = np.inf
    return known


def simulate(setting: Setting, repeats: int, replicates: int = 250) -> list[Separability]:
    """What is found in `repeats` landscapes of a setting."""
    truth, x, y = bowl(setting)
    rng = np.random.default_rng(list(repr(setting).encode()))
    sd = setting.noise * (truth if setting.grows else setting.size)
    found = []
    for _ in range(repeats):
        runs = seen(setting, truth + sd * rng.normal(size=(setting.seeds, *truth.shape)))
        seed, row, col = (one.ravel() for one in np.indices(runs.shape))
        frame = {"alpha": 2.0 ** x[row], "lambda": 2.0 ** y[col], "seed": seed}
        frame |= {"loss": runs.ravel(), "diverged": np.isinf(runs.ravel())}
        found.append(separability(pd.DataFrame(frame), LOSS, replicates=replicates))
    return found


def true_values(setting: Setting, found: Separability) -> dict[str, float]:
    """The statistics of the bowl without noise, in the units and with the τ of a sample."""
    loss, x, y = bowl(setting)
    points = found.units.points(seen(setting, loss))
    tau = found.units.points(np.array(found.tau)).item()
    span = SPAN * tau / TAU
    size = found.units.size
    return {
        "tilt": float(coupling.tilt(points, x, y, span=span, tau=tau)),
        "drift": float(coupling.drift(points, x, y, span=span, tau=tau)),
        "interaction": float(coupling.interaction(points, span=span)),
        "product": float(coupling.product(points, x, y, span=span)),
        "regret": size * float(coupling.regret(points)),
        "worst_regret": size * float(coupling.worst_regret(points)),
    }


def held(setting: Setting, found: list[Separability]) -> dict[str, float]:
    """The share of intervals that hold the truth, by statistic; of those that there are."""
    shares = {}
    for name in COUNTED:
        within = []
        for one in found:
            estimate, true = getattr(one, name), true_values(setting, one)[name]
            if estimate.has_interval and not np.isnan(true):
                slack = 1e-9 * max(1.0, abs(true))
                within.append(estimate.low - slack <= true <= estimate.high + slack)
        shares[name] = float(np.mean(within)) if within else float("nan")
    return shares


SLOPES = (0.0, -0.1, -0.2, -0.3, -0.4, -0.5, -0.7, -1.0)
VERDICTS = ("coupled", "cannot tell", "separable")


@dataclass(frozen=True)
class Oblique:
    """What is found of bowls of one slope."""

    tilt: float  # without noise, mean over the samples' units
    cost: float  # of tuning one at a time, in differences that matter
    verdicts: dict[str, float]  # share of each


def oblique(slope: float, repeats: int, *, seeds: int = 3, noise: float = 0.025) -> Oblique:
    """Find out what the verdict makes of bowls of a slope."""
    setting = Setting(slope=slope, seeds=seeds, noise=noise)
    found = simulate(setting, repeats)
    true = [true_values(setting, one) for one in found]
    costs = [t["regret"] / one.units.matters for t, one in zip(true, found, strict=True)]
    given = [one.verdict for one in found]
    shares = {verdict: given.count(verdict) / repeats for verdict in VERDICTS}
    return Oblique(float(np.mean([t["tilt"] for t in true])), float(np.mean(costs)), shares)


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=300, show_default=True)
def main(repeats: int) -> None:
    """Print how often intervals hold the truth."""
    click.echo("| setting | " + " | ".join(COUNTED) + " | coupled | separable |")
    click.echo("|---|" + "---|" * (len(COUNTED) + 2))
    for name, setting in SETTINGS.items():
        found = simulate(setting, repeats)
        shares = [f"{share:.2f}" for share in held(setting, found).values()]
        verdicts = [one.verdict for one in found]
        counts = [f"{verdicts.count(v) / repeats:.2f}" for v in ("coupled", "separable")]
        click.echo(f"| {name} | " + " | ".join([*shares, *counts]) + " |")
    click.echo("\n| slope | tilt | cost / what matters | " + " | ".join(VERDICTS) + " |")
    click.echo("|---|" + "---|" * (len(VERDICTS) + 2))
    for slope in SLOPES:
        one = oblique(slope, repeats)
        counts = [f"{share:.2f}" for share in one.verdicts.values()]
        click.echo(f"| {slope} | {one.tilt:.2f} | {one.cost:.2f} | " + " | ".join(counts) + " |")


if __name__ == "__main__":
    main()
