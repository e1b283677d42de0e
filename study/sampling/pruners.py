"""Pruners: who says which trainings are hopeless. Ours, and Optuna's.

`halving` compares the cells of a chunk. `surface` reads landscapes, whose rooms stand above this
one, so that it is had by its import path, as any other. Optuna's see a study in memory with the
curves of all trials of the panel that had ended when they first looked at a chunk, and of those
that they were asked about themselves.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import optuna
from optuna.pruners import BasePruner
from optuna.study import Study as OptunaStudy
from optuna.trial import TrialState

from landscape_study.study.errors import UsageError
from landscape_study.study.records.standing import Course, Mask, Pruner, Standing
from landscape_study.study.sampling.others_code import imported, quiet
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.pruning import HALVING, Pruning
from landscape_study.study.spec.study import Cell, Panel

PLACES = {  # of the pruners that have a name
    "surface": "landscape_study.landscapes.sampling.surface_pruner:SurfacePruner",
    "median": "optuna.pruners:MedianPruner",
    "percentile": "optuna.pruners:PercentilePruner",
    "asha": "optuna.pruners:SuccessiveHalvingPruner",
    "hyperband": "optuna.pruners:HyperbandPruner",
    "threshold": "optuna.pruners:ThresholdPruner",
}


Courses = Callable[[], Sequence[Course]]


def load_pruner(
    pruning: Pruning, panel: Panel, metric: Metric, courses: Courses = tuple
) -> Pruner:
    """The pruner that a panel asks for.

    Args:
        pruning: names it.
        panel: whose cells are trained.
        metric: what is measured.
        courses: gives the trials of the panel that have ended.

    Raises:
        UsageError: there is none of this name, it is none, or it is made with other arguments.
    """
    if pruning.pruner == HALVING:
        return Halving(pruning)
    place = PLACES.get(pruning.pruner, pruning.pruner)
    kind = imported("pruner", place)
    is_optunas = isinstance(kind, type) and issubclass(kind, BasePruner)
    if not is_optunas and not hasattr(kind, "leaving"):
        raise UsageError(
            f"pruner '{pruning.pruner}': {place} is no pruner: name a subclass of "
            "optuna.pruners.BasePruner"
        )
    try:
        if not is_optunas:
            own: Pruner = kind(panel, metric, courses, **pruning.arguments)
            return own
        with quiet():
            return OptunaPruner(kind(**pruning.arguments), metric, courses)
    except (TypeError, ValueError) as e:
        # Ours are made with what they need, and arguments that have names only.
        asked = inspect.signature(kind).parameters.values()
        names = [one.name for one in asked if is_optunas or one.kind is one.KEYWORD_ONLY]
        takes = ", ".join(names) or "none"
        raise UsageError(
            f"pruner '{pruning.pruner}' with the arguments {dict(pruning.arguments)}: "
            f"{str(e).rstrip('.')}: its arguments are {takes}"
        ) from e


class Halving:
    """Keeps the best share of the cells that are trained together. See `Pruner`.

    Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization" (2016), within each chunk.
    """

    def __init__(self, pruning: Pruning) -> None:
        self.pruning = pruning

    def stops(self, epochs: int) -> list[int]:  # noqa: D102
        rounded = (math.ceil(share * epochs) for share in self.pruning.at)
        return sorted({stop for stop in rounded if stop < epochs})

    def leaving(self, standing: Standing) -> Mask:  # noqa: D102
        last = standing.costs[:, -1]
        kept = math.ceil(self.pruning.keep * len(last))
        leaving = np.ones(len(last), dtype=np.bool_)
        leaving[np.argsort(np.where(np.isnan(last), np.inf, last), kind="stable")[:kept]] = False
        return leaving


class OptunaPruner:
    """One of Optuna's pruners, which sees the metric as it is measured. See `Pruner`."""

    def __init__(self, pruner: BasePruner, metric: Metric, courses: Courses) -> None:
        self.sign, self.courses = metric.sign, courses
        self.study: OptunaStudy = optuna.create_study(direction=metric.goal, pruner=pruner)
        self.trials: dict[tuple[int, Cell], optuna.Trial] = {}
        self.reported: Counter[tuple[int, Cell]] = Counter()  # epochs
        self.ended: set[tuple[int, Cell]] = set()

    def stops(self, epochs: int) -> list[int]:  # noqa: D102
        return [*range(1, epochs)]

    def leaving(self, standing: Standing) -> Mask:  # noqa: D102
        with quiet():
            keys = [(standing.seed, cell) for cell in standing.cells]
            if any(key not in self.trials for key in keys):
                self._look_around()
            for key in keys:
                if key not in self.trials:
                    self.trials[key] = self.study.ask()
            return np.array(
                [
                    self._is_hopeless(key, costs)
                    for key, costs in zip(keys, standing.costs, strict=True)
                ]
            )

    def _is_hopeless(self, key: tuple[int, Cell], costs: npt.NDArray[np.float64]) -> bool:
        """Report what is new of a trial, and ask."""
        trial, hopeless = self.trials[key], False
        for cost in costs[self.reported[key] :].tolist():
            self.reported[key] += 1
            trial.report(self.sign * cost, self.reported[key])
            hopeless = trial.should_prune()
        return hopeless

    def _look_around(self) -> None:
        """Take over what has ended of the panel meanwhile."""
        for course in self.courses():
            key = course.seed, course.cell
            if key in self.ended:
                continue
            self.ended.add(key)
            state = TrialState.PRUNED if course.is_pruned else TrialState.COMPLETE
            values = (self.sign * course.costs).tolist()
            last = values[-1] if values and not math.isnan(values[-1]) else self.sign * math.inf
            if key in self.trials:
                self.study.tell(self.trials[key], None if course.is_pruned else last, state)
            else:
                self.study.add_trial(
                    optuna.trial.create_trial(
                        state=state,
                        value=last,
                        intermediate_values=dict(enumerate(values, 1)),
                    )
                )
