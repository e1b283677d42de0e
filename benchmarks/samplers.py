"""What samplers find in few trainings, replayed on landscapes that are known whole.

    python -m benchmarks.samplers [--repeats 50] [--only NAME] [--against NAME] [--keep FILE]
    python -m benchmarks.samplers --asking

Each repetition begins with other random numbers. `verdict` asks for the cells of the grid until it
stops, or has half of the trainings. Each of the others then asks for as many, and is answered by
the nearest cell of the grid that it has not had. All are judged as the report judges
(`landscapes.statistics.separability`), and against what the whole grid says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import joblib
import numpy as np
import pandas as pd

from benchmarks.measure import stop_when_terminated
from landscape_study.landscapes.reference import reference_panels
from landscape_study.landscapes.statistics.separability import separability
from landscape_study.landscapes.statistics.units import units
from landscape_study.study.records.wishes import Known, Trial
from landscape_study.study.sampling import load_sampler
from landscape_study.study.spec.design import Sampled
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel

RESULTS = Path(__file__).parent.parent / "results" / "reference"
STUDIES = (
    *("chars-fig2", "digits-fig1", "digits-fig2", "digits-supp3"),
    *("digits-torch", "mnist5k-fig2", "mnist5k-torch"),
)
OTHERS = ("random", "qmc", "tpe", "gp")
AT_ONCE = 8  # trainings that are asked for together
TOLD, CHUNK = 500, 32  # trials that are known, and cells asked for, where asking is timed
SHARE = 0.5  # of a landscape's trainings, that `verdict` may ask for
SLOPES = (-1.0, -0.5, 0.0, 1.0)  # octaves of λ per octave of α, of made-up valleys
BITS = Metric("test_bits", "test loss", unit="bits per character")  # of chars
NOISES = (0.1, 0.3)  # points, of a training in them


@dataclass(frozen=True, eq=False)
class Whole:
    """A landscape that is known whole.

    Attributes:
        cells: one row per cell and seed, λ > 0: alpha, lambda, seed, the metric, diverged.
    """

    name: str
    cells: pd.DataFrame
    metric: Metric = TEST_ERROR

    @property
    def grid(self) -> Grid:
        """Of all its cells."""
        axes = {name: sorted(set(self.cells[name])) for name in ("alpha", "lambda")}
        return Grid(alpha=Axis(values=axes["alpha"]), lambda_=Axis(values=axes["lambda"]))


def known_landscapes() -> Iterator[Whole]:
    """The paper's Figure 2, recorded results of presets, and made-up valleys.

    A panel that two presets share is there once.
    """
    for one in reference_panels("fig2"):
        yield Whole(one.name, _usable(one.cells, TEST_ERROR))
    had: list[pd.DataFrame] = []
    for path in (RESULTS / f"{study}.csv" for study in STUDIES):
        study = pd.read_csv(path)
        metric = TEST_ERROR if "test_error" in study else BITS
        for name, panel in study.groupby("panel", sort=False):
            cells = _usable(panel, metric)
            if not any(cells.equals(other) for other in had):
                had.append(cells)
                yield Whole(f"{path.stem}/{name}", cells, metric)
    for slope in SLOPES:
        for noise in NOISES:
            yield valley(slope, noise)


def _usable(cells: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The cells with λ > 0 that have a result."""
    cells = cells[(cells["lambda"] > 0) & cells[metric.name].notna()]
    cells = cells.assign(
        seed=cells.get("seed", 0),
        diverged=cells["diverged"].isin([True]) if "diverged" in cells else False,
    )
    return cells[["alpha", "lambda", "seed", metric.name, "diverged"]].reset_index(drop=True)


def valley(slope: float, noise: float) -> Whole:
    """Made up: 11 × 11 cells under three seeds, whose best λ goes with α."""
    rng = np.random.default_rng(0)
    x, y, seed = (one.ravel() for one in np.meshgrid(*[np.arange(11.0)] * 2, np.arange(3)))
    away = y - 5 - slope * (x - 5)
    error = 4 + 6 * (1 - np.exp(-0.02 * (x - 5) ** 2 - 0.08 * away**2))
    frame = pd.DataFrame({"alpha": 2.0 ** (x - 10), "lambda": 2.0 ** (y - 12)})
    frame["seed"], frame["diverged"] = seed, False
    frame[TEST_ERROR.name] = error + noise * rng.normal(size=error.size)
    return Whole(f"made-up valley, slope {slope:g}, noise {noise:g}", frame)


class _Answers:
    """Answers to whoever asks for trainings of a landscape, each given once.

    Attributes:
        given: rows of the landscape's cells, in the order in which they were asked for.
        trials: the same as samplers see them.
    """

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.rows = {
            Cell(alpha, lambda_): list(own.index)
            for (alpha, lambda_), own in whole.cells.groupby(["alpha", "lambda"])
        }
        self.given: list[int] = []
        self.trials: list[Trial] = []

    def exact(self, cell: Cell, seed: int) -> None:
        """Answer for a cell of the grid; it failed where there is no such run."""
        rows = self.rows.get(cell, [])
        if seed < len(rows):
            self._give(cell, seed, rows[seed])
        else:
            self.trials.append(Trial(cell, seed, "failed"))

    def nearest(self, cell: Cell) -> None:
        """Answer by the first seed of the nearest cell that was not asked for."""
        had = {one.cell for one in self.trials}
        free = [one for one in self.rows if one not in had]
        if free:
            near = min(free, key=lambda one: _octaves(one, cell))
            self._give(near, 0, self.rows[near][0])

    def _give(self, cell: Cell, seed: int, row: int) -> None:
        told = self.whole.cells.loc[row]
        value, diverged = float(told[self.whole.metric.name]), bool(told["diverged"])
        self.given.append(row)
        self.trials.append(Trial(cell, seed, "finished", value, diverged=diverged))


def _octaves(one: Cell, other: Cell) -> float:
    """How far two cells lie apart."""
    return math.hypot(math.log2(one.alpha / other.alpha), math.log2(one.lambda_ / other.lambda_))


def replayed(whole: Whole, sampler: str, trials: int, seed: int) -> list[int]:
    """The rows that a sampler asks for, until it has so many or stops."""
    is_verdict = sampler == "verdict"
    design = Sampled(sampler=sampler, trials=trials, seed=seed, zero=0.0)
    panel = Panel(pair="adamw", design=design, grid=whole.grid)
    seeds = tuple(range(whole.cells["seed"].nunique())) if is_verdict else (0,)
    answers, asking, asked = _Answers(whole), load_sampler(design), 0
    while True:
        known = Known(panel, whole.metric, seeds, tuple(answers.trials), asked)
        answer = asking.ask(known, AT_ONCE)
        if answer.settled is not None:
            return answers.given
        for wish in answer.wishes:
            if is_verdict:
                answers.exact(wish.cell, wish.seed)
            else:
                answers.nearest(wish.cell)
        asked += len(answer.wishes)


def outcome(whole: Whole, rows: list[int]) -> tuple[str, float]:
    """The verdict on some rows, and how many points worse than the best their best cell is."""
    some = whole.cells.loc[rows]
    means = whole.cells[~whole.cells["diverged"]].groupby(["alpha", "lambda"])[whole.metric.name]
    true = whole.metric.sign * means.mean()
    seen = some[~some["diverged"]].groupby(["alpha", "lambda"])[whole.metric.name].mean()
    best = (whole.metric.sign * seen).idxmin()
    size = units(true.to_numpy(), whole.metric).size
    return separability(some, whole.metric).verdict, float(true[best] - true.min()) / size


def repetition(whole: Whole, others: Sequence[str], seed: int) -> list[dict[str, object]]:
    """What `verdict` finds until it stops, and the others in as many trainings."""
    total = len(whole.cells)
    rows = replayed(whole, "verdict", int(SHARE * total), seed)
    found = {"verdict": rows}
    most = len(whole.cells.groupby(["alpha", "lambda"]))
    for name in others:
        found[name] = replayed(whole, name, min(len(rows), most), seed)
    facts = []
    for name, own in found.items():
        verdict, gap = outcome(whole, own)
        facts.append({"sampler": name, "verdict": verdict, "gap": gap, "share": len(own) / total})
    return facts


def compared(whole: Whole, others: Sequence[str], repeats: int) -> pd.DataFrame:
    """All repetitions of a landscape, a row for each sampler."""
    full = separability(whole.cells, whole.metric).verdict
    rows = [one for seed in range(repeats) for one in repetition(whole, others, seed)]
    return pd.DataFrame(rows).assign(landscape=whole.name, full=full)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """By sampler, over the landscapes that have a verdict, and last over those that have none.

    Of the shares of the landscapes, the median.
    """
    told = rows[rows["full"] != "cannot tell"]
    told = told.assign(
        same=told["verdict"] == told["full"],
        open=told["verdict"] == "cannot tell",
        contrary=(told["verdict"] != told["full"]) & (told["verdict"] != "cannot tell"),
    )
    by = told.groupby("sampler", sort=False)
    without = rows[rows["full"] == "cannot tell"]
    said = (without["verdict"] != "cannot tell").groupby(without["sampler"], sort=False)
    shares = told.groupby(["sampler", "landscape"], sort=False)["share"].median()
    return pd.DataFrame(
        {
            "the grid's verdict": by["same"].mean(),
            "cannot tell": by["open"].mean(),
            "the contrary": by["contrary"].mean(),
            "points from the best cell": by["gap"].median(),
            "share of the trainings": shares.groupby("sampler", sort=False).median(),
            "a verdict where there is none": said.mean(),
        }
    )


def told(frame: pd.DataFrame) -> str:
    """How often `verdict` says of one landscape what the whole grid says, and what else."""
    own = frame[frame["sampler"] == "verdict"]
    said, share = own["verdict"].value_counts(normalize=True), own["share"].median()
    name, full = frame["landscape"].iloc[0], frame["full"].iloc[0]
    line = f"{name}: {full}; verdict says so in {said.get(full, 0):.0%}, with {share:.0%} of it"
    return line + "".join(f"; {one} in {part:.0%}" for one, part in said.items() if one != full)


def asking_seconds(sampler: str) -> float:
    """In which a chunk of cells is asked for when many trials are known; the median of three.

    Of a valley of which nobody could tell by then how it lies.
    """
    rng, places = np.random.default_rng(0), 2.0 ** np.arange(-13, 1)
    axis, is_verdict = Axis(values=tuple(places)), sampler == "verdict"
    design = Sampled(sampler=sampler, trials=2 * TOLD, zero=0.0)
    panel = Panel(pair="adamw", design=design, grid=Grid(alpha=axis, lambda_=axis))
    seeds = (0, 1, 2, 3) if is_verdict else (0,)
    cells = (
        panel.grid.cells()
        if is_verdict
        else [Cell(*2.0 ** rng.uniform(-13, 0, 2)) for _ in range(TOLD)]
    )
    every = [(cell, seed) for cell in cells for seed in seeds]
    trials = [
        Trial(*every[i], "finished", _height(every[i][0], rng))
        for i in rng.permutation(len(every))[:TOLD]
    ]
    known, asking = Known(panel, TEST_ERROR, seeds, tuple(trials), TOLD), load_sampler(design)
    took = []
    for _ in range(3):
        began = time.perf_counter()
        asked = len(asking.ask(known, CHUNK).wishes)
        took.append(time.perf_counter() - began)
        assert asked == CHUNK
    return sorted(took)[1]


def _height(cell: Cell, rng: np.random.Generator) -> float:
    """Of a valley that is slanted by a third of an octave for each octave, and noisy."""
    x, y = math.log2(cell.alpha) + 6, math.log2(cell.lambda_) + 6
    return 4 + 0.02 * (x**2 + (y + 0.35 * x) ** 2) + rng.normal()


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=50, show_default=True)
@click.option("--only", multiple=True, help="Only landscapes whose name has this in it.")
@click.option(
    "--against",
    multiple=True,
    type=click.Choice(OTHERS),
    default=OTHERS,
    show_default=True,
    help="May be repeated; gp takes by far the longest.",
)
@click.option("--quick", is_flag=True, help="One landscape, once: shows that everything works.")
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write each landscape's repetitions there (CSV), and go on where that left off.",
)
@click.option("--asking", is_flag=True, help="Only time how long samplers take to be asked.")
def main(
    repeats: int,
    only: tuple[str, ...],
    against: tuple[str, ...],
    quick: bool,
    keep: Path | None,
    asking: bool,
) -> None:
    """Measure what samplers find in few trainings, on landscapes that are known whole."""
    stop_when_terminated()
    if asking:
        for name in ("verdict", *against):
            seconds = asking_seconds(name)
            click.echo(f"{name}: {CHUNK} cells after {TOLD} trials in {seconds:.2f} s")
        return
    repeats, only = (1, ("fig2/sgdw",)) if quick else (repeats, only)
    others = OTHERS[:1] if quick else against
    wholes = [w for w in known_landscapes() if not only or any(part in w.name for part in only)]
    run = joblib.Parallel(n_jobs=1 if quick else -1, return_as="generator")
    kept = pd.read_csv(keep) if keep and keep.exists() else pd.DataFrame({"landscape": []})
    wholes = [whole for whole in wholes if whole.name not in set(kept["landscape"])]
    for frame in run(joblib.delayed(compared)(whole, others, repeats) for whole in wholes):
        kept = pd.concat([kept, frame], ignore_index=True)
        if keep:
            kept.to_csv(keep, index=False)
        click.echo(told(frame))
    click.echo(summary(kept).to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
