"""The best cells of another panel, asked for once that is finished: budgets as a third axis."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from landscape_study.study.records.wishes import Answer, Known, Trial, Wish
from landscape_study.study.spec.design import Promoted
from landscape_study.study.spec.study import Cell


class Promotion:
    """Waits for a panel, then asks for its best cells, all at once. See `Sampler`.

    Asked again after that panel has grown, it asks for those that are new among the best; what
    it asked for before stays.
    """

    def __init__(self, design: Promoted) -> None:
        self.design = design

    def ask(self, known: Known, width: int) -> Answer:  # noqa: D102
        if known.source is None:
            return Answer()
        cells = len({trial.cell for trial in known.source})
        best = _ranked(known.source, known.metric.sign)[: self.design.chosen(cells)]
        there = {(trial.cell, trial.seed) for trial in known.trials}
        wishes = [
            Wish(cell, seed) for cell in best for seed in known.seeds if (cell, seed) not in there
        ]
        if wishes:
            return Answer(wishes)
        few = ", all that ended well" if len(best) < self.design.chosen(cells) else ""
        found = f"the best {len(best)} of {cells} cells of {self.design.best_of}{few}"
        return Answer(settled=found if best else f"no cell of {self.design.best_of} ended well")


def _ranked(trials: Sequence[Trial], sign: int) -> list[Cell]:
    """Cells, the best one first, of which some seed finished and did not diverge.

    By the mean over the finished seeds; those of which a seed diverged come last.
    """
    values: defaultdict[Cell, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.state == "finished" and trial.value is not None:
            values[trial.cell].append(trial.value)
    good = {one.cell for one in trials if one.state == "finished" and not one.diverged}
    bad = {one.cell for one in trials if one.diverged}
    costs = {
        cell: (cell in bad, sign * statistics.fmean(found))
        for cell, found in values.items()
        if cell in good
    }
    return sorted(costs, key=lambda cell: (*costs[cell], cell))
