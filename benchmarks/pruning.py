"""What pruners save, and what they lose: replayed on the curves of a study that is trained whole.

    python -m benchmarks.pruning [--study digits-fig2] [--seeds 3] [--repeats 5] [--store DB]

Each repetition shuffles the cells anew, lays them out in chunks as a study with that pruner does,
and shows the pruner what it would have seen: cells that stay end as they did. Told is how many
times fewer epochs are trained, how many of the ten best cells (means over the seeds) are still
there, and how many points worse than the best the best of those that are left is.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pandas as pd

import landscape_study as ls
from benchmarks.measure import stop_when_terminated
from landscape_study.study.planning.layout import panel_chunks
from landscape_study.study.records.standing import Course, Standing
from landscape_study.study.sampling.pruners import load_pruner
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.pruning import Pruning
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import Store

PRUNERS = ("surface", "halving", "median")
CHUNK = 48  # most cells that are trained together
BEST = 10  # cells that heatmaps circle


@dataclass(frozen=True)
class Whole:
    """A panel that was trained whole.

    Attributes:
        courses: of its cells, by seed.
    """

    panel: Panel
    metric: Metric
    courses: dict[int, dict[Cell, Course]]

    @property
    def best(self) -> list[Cell]:
        """Cells by their mean over the seeds, the best first; without those that diverged."""
        alive = (
            cell
            for cell in self.panel.cells()
            if not any(own[cell].diverged for own in self.courses.values())
        )
        return sorted(alive, key=self.mean)

    def mean(self, cell: Cell) -> float:
        """Cost of a cell, mean over the seeds."""
        return float(np.mean([own[cell].cost for own in self.courses.values()]))


def wholes(store: Store, name: str) -> Iterator[Whole]:
    """The panels of a study that is trained."""
    study = store.study(name)
    for panel in study.panels:
        courses: dict[int, dict[Cell, Course]] = {seed: {} for seed in study.seeds}
        for course in store.courses(name, panel.name):
            courses[course.seed][course.cell] = course
        yield Whole(panel, study.metric, courses)


def replayed(whole: Whole, pruning: Pruning, chance: random.Random) -> tuple[int, set[Cell]]:
    """Epochs that a study with this pruner trains, and the cells that finish under any seed."""
    ended: list[Course] = []
    panel, budget = whole.panel, whole.panel.epochs or 0
    pruner = load_pruner(pruning, panel, whole.metric, lambda: ended)
    width = min(CHUNK, pruning.at_once(len(panel.cells())))
    epochs, finished = 0, set[Cell]()
    for seed, courses in whole.courses.items():
        cells = [*panel.cells()]
        chance.shuffle(cells)
        for chunk in panel_chunks(cells, width):
            alive = [*chunk]
            for begin, stop in pairwise([0, *pruner.stops(budget), budget]):
                epochs += len(alive) * (stop - begin)
                if stop < budget:
                    costs = np.array([_seen(courses[cell], stop) for cell in alive])
                    leaving = pruner.leaving(Standing(seed, alive, costs))
                    gone = [cell for cell, leaves in zip(alive, leaving, strict=True) if leaves]
                    ended += [_given_up(courses[cell], stop) for cell in gone]
                    alive = [cell for cell in alive if cell not in gone]
                if not alive:
                    break
            ended += [courses[cell] for cell in alive]
            finished |= {*alive}
    return epochs, finished


def _seen(course: Course, stop: int) -> np.ndarray:
    return np.nan_to_num(course.costs[:stop], nan=np.inf)


def _given_up(course: Course, stop: int) -> Course:
    costs = course.costs[:stop]
    return Course(course.cell, course.seed, costs, float(costs[-1]), is_pruned=True)


def facts(whole: Whole, name: str, chance: random.Random) -> dict[str, object]:
    """What a pruner saves and loses in one repetition."""
    epochs, finished = replayed(whole, Pruning(pruner=name), chance)
    best = whole.best
    left = [cell for cell in best if cell in finished]
    all_of_it = len(whole.courses) * len(whole.panel.cells()) * (whole.panel.epochs or 0)
    return {
        "pruner": name,
        "panel": whole.panel.name,
        "times fewer epochs": all_of_it / epochs,
        "of the ten best": len(finished & {*best[:BEST]}),
        "points from the best": whole.mean(left[0]) - whole.mean(best[0]),
    }


@click.command()
@click.option("--study", default="digits-fig2", show_default=True, help="A preset.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--store", help="Where it is trained already, or to be.  [default: a new one]")
@click.option("--quick", is_flag=True, help="A small study, once: shows that everything works.")
def main(study: str, seeds: int, repeats: int, store: str | None, quick: bool) -> None:
    """Replay pruners on the curves of a study that is trained whole."""
    stop_when_terminated()
    with tempfile.TemporaryDirectory(prefix="pruning-") as folder:
        where = store or str(Path(folder) / "whole.db")
        small = {"pairs": ["adamw"], "epochs": 4, "seeds": 1, "name": "quick"}
        trained = ls.run(study, store=where, **(small if quick else {"seeds": seeds}))
        with closing(Store(where)) as opened:
            panels = list(wholes(opened, trained.name))
    rows = [
        facts(whole, name, random.Random(repeat))
        for whole in panels
        for name in PRUNERS
        for repeat in range(1 if quick else repeats)
    ]
    click.echo(table(rows).to_string(float_format="{:.2f}".format))


def table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Means by pruner and panel, and of all panels."""
    frame = pd.DataFrame(rows)
    by_panel = frame.groupby(["pruner", "panel"], sort=False).mean()
    of_all = frame.drop(columns="panel").groupby("pruner", sort=False).mean()
    of_all.index = pd.MultiIndex.from_product([of_all.index, ["all"]])
    return pd.concat([by_panel, of_all])


if __name__ == "__main__":
    main()
