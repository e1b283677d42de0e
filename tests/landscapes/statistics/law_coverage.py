"""How often the intervals of exponents over a third axis hold the truth, on simulated studies.

    python -m tests.landscapes.statistics.law_coverage [--repeats 120]

makes the table of docs/statistics.md. A study has a panel for each batch size; its error is a bowl
around a best α and λ that follow powers of the batch size, off the grid's own values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import click
import numpy as np

from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.panel_families import families
from landscape_study.landscapes.statistics.scaling_law import ScalingLaw, scaling_law
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.timescale import timescale
from landscape_study.study.spec.study import Axis, Grid, Panel
from tests.landscapes.surfaces import frame_of

EXAMPLES = 6400
MIDDLE = 2.0**-7, 2.0**-5  # α and λ in the middle of the grid
QUANTITIES = ("α", "λ", "α·λ")


@dataclass(frozen=True)
class Setting:
    """A kind of study."""

    alpha: float = 0.5  # exponents of the best α and λ
    lambda_: float = 1.0
    sizes: tuple[int, ...] = (16, 32, 64, 128)
    octaves: float = 5.0  # from the middle of the grid to its ends
    step: float = 1.0  # octaves
    seeds: int = 3
    noise: float = 0.1  # points, standard deviation of a run
    steep: float = 0.25  # points that an octave beside the best λ costs
    flat: float = 0.1  # beside the best α
    slant: float = 0.0  # octaves of the best λ per octave of α, in each panel
    off: float = 0.3  # octaves of the bowl's middle beside the grid's, of α and −λ
    bend: float = 0.0  # octaves by which the best λ leaves its law at the ends
    pair: str = "adamw"


SETTINGS = {
    "as it is": Setting(),
    "neither moves": Setting(alpha=0, lambda_=0),
    "falling": Setting(alpha=-0.5, lambda_=-1),
    "scaled, a diagonal": Setting(alpha=0.5, lambda_=0.5, slant=-1, pair="adamw-torch"),
    "3 batch sizes": Setting(sizes=(16, 64, 256), lambda_=0.5),
    "6 batch sizes": Setting(sizes=(16, 32, 64, 128, 256, 512), lambda_=0.5),
    "1 seed": Setting(seeds=1),
    "much noise": Setting(noise=0.4),
    "much noise, 2 seeds": Setting(noise=0.4, seeds=2),
    "steps of 2 octaves": Setting(step=2.0),
    "steps of 2 octaves, steep": Setting(step=2.0, steep=1.0, flat=0.5),
    "steps of 3 octaves, steep": Setting(step=3.0, octaves=6.0, steep=1.0, flat=0.5),
    "near the border": Setting(octaves=3.0),
    "beyond the border": Setting(octaves=3.0, lambda_=2.0),
    "far beyond it": Setting(octaves=3.0, lambda_=3.0, steep=1.0),
    "no power law": Setting(bend=0.7),
}


def panel_of(setting: Setting, size: int, draw: int) -> PanelData:
    """The panel of a batch size."""
    axis = np.arange(-setting.octaves, setting.octaves + 0.1, setting.step)
    away = math.log2(size) - np.mean(np.log2(setting.sizes))
    reach = max(math.log2(max(setting.sizes)) - np.mean(np.log2(setting.sizes)), 1)
    best_x = setting.alpha * away + setting.off
    best_y = setting.lambda_ * away - setting.off + setting.bend * (away / reach) ** 2
    dx = axis[:, None] - best_x
    dy = axis[None] - best_y - setting.slant * dx
    error = 3 + setting.flat * dx**2 + setting.steep * dy**2
    dice = np.random.default_rng((size, draw))
    runs = error + setting.noise * dice.standard_normal((setting.seeds, *error.shape))
    x, y = axis + math.log2(MIDDLE[0]), axis + math.log2(MIDDLE[1])
    name = f"{setting.pair}-{size}"
    frame = frame_of(runs, x, y, panel=name, state="finished", diverged=False)
    grid = Grid(alpha=Axis(values=2.0**x), lambda_=Axis(values=2.0**y))
    panel = Panel(name=name, pair=setting.pair, epochs=6, grid=grid, batch_size=size)
    own = timescale(PAIRS[setting.pair], Options(), EXAMPLES // size)
    field = landscape(frame, panel, timescale=own)
    return PanelData(
        name,
        field,
        frame,
        panel,
        study="simulated",
        options=Options(),
        batch_size=size,
        examples=EXAMPLES,
    )


def law_of(setting: Setting, draw: int = 0, replicates: int = 300) -> ScalingLaw:
    """What is found of one simulated study."""
    panels = [panel_of(setting, size, draw) for size in setting.sizes]
    (family,) = families(panels, "batch_size")
    return scaling_law(family, replicates)


@dataclass(frozen=True)
class Simulated:
    """What came of simulated studies.

    Attributes:
        held: by quantity, the share of intervals that hold the truth; of those that there are.
        width: how wide they are, the median of those with two ends.
        told: the share of studies in which the exponent is known well enough.
    """

    held: dict[str, float]
    width: dict[str, float]
    told: dict[str, float]


def simulated(setting: Setting, repeats: int) -> Simulated:
    """Many studies of a setting."""
    laws = [law_of(setting, draw) for draw in range(repeats)]
    truth = {"α": setting.alpha, "λ": setting.lambda_, "α·λ": setting.alpha + setting.lambda_}
    held, width, told = {}, {}, {}
    for quantity, true in truth.items():
        found = [law.exponent(quantity) for law in laws]
        known = [one.exponent for one in found if one.exponent.has_interval]
        held[quantity] = _mean([one.low <= true <= one.high for one in known])
        wide = [one.high - one.low for one in known if math.isfinite(one.high - one.low)]
        width[quantity] = float(np.median(wide)) if wide else math.nan
        told[quantity] = _mean([one.tells for one in found])
    return Simulated(held, width, told)


def _mean(values: list[bool]) -> float:
    return float(np.mean(values)) if values else math.nan


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=120, show_default=True)
def main(repeats: int) -> None:
    """Print how often intervals hold the truth."""
    heads = [f"{what} {one}" for one in QUANTITIES for what in ("held", "width", "told")]
    click.echo("| setting | " + " | ".join(heads) + " |")
    click.echo("|---|" + "---|" * len(heads))
    for name, setting in SETTINGS.items():
        found = simulated(setting, repeats)
        cells = [
            _cell(numbers[one])
            for one in QUANTITIES
            for numbers in (found.held, found.width, found.told)
        ]
        click.echo(f"| {name} | " + " | ".join(cells) + " |")


def _cell(number: float) -> str:
    return "–" if math.isnan(number) else f"{number:.2f}"


if __name__ == "__main__":
    main()
