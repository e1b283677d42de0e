"""Optuna's samplers, asked for many cells at once while others are under way.

A sampler is handed a study in memory that holds what was trained: each cell as a trial whose
value is the mean over its seeds. What is under way counts as the worst value so far (the constant
liar of Ginsbourger et al., "Kriging is well-suited to parallelize optimization", 2010), which
keeps the sampler from asking for the same place again; but CMA-ES is not told of it, since the
generation that it belongs to would learn from the lie, for good. Its random numbers depend on how
much was asked for before, and what it writes down with trials is stored with them: so a sampler
that is asked again after a crash answers the same.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIIISampler, NSGAIISampler
from optuna.study import Study as OptunaStudy

from landscape_study.study.errors import TrainingError, UsageError, first_line
from landscape_study.study.records.wishes import Answer, Known, Trial, Wish
from landscape_study.study.sampling.optimizer_states import without_code
from landscape_study.study.sampling.others_code import quiet
from landscape_study.study.spec.cell_numbers import LAMBDA, number_called, number_of
from landscape_study.study.spec.design import Sampled
from landscape_study.study.spec.grid import SHARE_DIGITS, Axis, Grid, in_few_digits
from landscape_study.study.spec.study import Cell

NEEDED = {"cmaes": "cmaes"}  # packages that Optuna does not bring, by sampler
OF_SEVERAL_METRICS = NSGAIISampler, NSGAIIISampler  # a landscape has one
OF_STUDY = "landscape:study"  # what a sampler wrote down with its study, not with a trial

Distributions = dict[str, BaseDistribution]


def is_optunas(found: object) -> bool:
    """Whether something is a class of Optuna's samplers."""
    return isinstance(found, type) and issubclass(found, BaseSampler)


@dataclass(frozen=True)
class _Place:
    """A cell under all of its seeds."""

    cell: Cell
    values: tuple[float, ...]  # of those that are finished; without any, of those that were pruned
    is_open: bool
    memory: Mapping[str, Any]


class OptunaSampler:
    """One of Optuna's samplers. See `Sampler`.

    Args:
        design: names it.
        kind: its class.

    Raises:
        UsageError: it lacks a package, weighs several metrics against each other, or is made with
            arguments that nobody gives here.
    """

    def __init__(self, design: Sampled, kind: type[BaseSampler]) -> None:
        self.design, self.kind = design, kind
        needed = NEEDED.get(design.sampler)
        if needed and find_spec(needed) is None:
            raise UsageError(
                f"sampler '{design.sampler}': the package '{needed}' is not installed: pip "
                f"install {needed}"
            )
        if issubclass(kind, OF_SEVERAL_METRICS):
            raise UsageError(
                f"sampler '{design.sampler}' looks for compromises between several metrics, and a "
                "landscape has one: take cmaes, tpe or gp for its best cell"
            )
        try:
            with quiet():
                self._made(seed=0)
        except Exception as e:  # whatever a sampler raises
            raise UsageError(
                f"sampler '{design.sampler}' cannot be made: {first_line(e)}: name one that "
                "needs no arguments, or a subclass of your own that sets them"
            ) from e

    def _made(self, seed: int) -> BaseSampler:
        takes_seed = "seed" in inspect.signature(self.kind).parameters
        return self.kind(**{"seed": seed} if takes_seed else {})

    def ask(self, known: Known, width: int) -> Answer:  # noqa: D102
        left = self.design.trials - known.asked
        if left <= 0:
            return Answer(settled=f"all of its {self.design.trials} trials were asked for")
        seeds = len(known.seeds)
        places = max(1, min(width, left // seeds))
        first = known.asked // seeds
        kinds = [_is_zero(known, self.design.zero, first + i) for i in range(places)]
        asked = {zero: iter(self._asked(known, kinds.count(zero), zero=zero)) for zero in {*kinds}}
        chosen = [next(asked[zero]) for zero in kinds]
        wishes = [
            Wish(cell, seed, memory if seed == known.seeds[0] else {})
            for cell, memory in chosen
            for seed in known.seeds
        ]
        return Answer(wishes[:left])

    def _asked(self, known: Known, count: int, *, zero: bool) -> list[tuple[Cell, dict[str, Any]]]:
        """So many cells, of λ = 0 or of others, and what the sampler remembers of them."""
        grid = known.panel.grid
        distributions = {
            name: _distribution(name, grid.axis(name))
            for name in grid.names
            if name != LAMBDA or not zero
        }
        may_be_zero = LAMBDA in grid.names
        places = [
            one for one in _places(known.trials) if (may_be_zero and one.cell.lambda_ == 0) == zero
        ]
        with quiet():
            try:
                return list(self._drawn(known, places, distributions, count))
            except Exception as e:  # whatever a sampler raises
                is_missing = isinstance(e, ImportError)
                remedy = "pip install what it needs" if is_missing else "take another --sampler"
                raise TrainingError(
                    f"panel '{known.panel.name}': the sampler {self.design.sampler} failed: "
                    f"{type(e).__name__}: {str(e).rstrip('.')}: {remedy}"
                ) from e

    def _drawn(
        self,
        known: Known,
        places: Sequence[_Place],
        distributions: Distributions,
        count: int,
    ) -> Iterator[tuple[Cell, dict[str, Any]]]:
        seed = int(np.random.SeedSequence([self.design.seed, known.asked]).generate_state(1)[0])
        study = optuna.create_study(direction=known.metric.goal, sampler=self._made(seed))
        lies = not issubclass(self.kind, CmaEsSampler)
        if not lies:
            places = [one for one in places if one.values]
        lie, grid = _told(study, places, distributions, known.metric.sign), known.panel.grid
        for _ in range(count):
            trial = study.ask(distributions)
            values = {name: _value(name, drawn, grid) for name, drawn in trial.params.items()}
            cell = grid.cell(*(values.get(name, 0.0) for name in grid.names))
            if lies:
                study.tell(trial, lie)
            yield cell, _memory(study)


def _is_zero(known: Known, share: float, number: int) -> bool:
    """Whether λ is 0 in the cell of this number, from 0: as evenly as the share allows."""
    lambda_ = known.panel.grid.lambda_
    if LAMBDA not in known.panel.grid.names or lambda_.values[0] > 0:
        return False
    return not lambda_.positive or math.floor((number + 1) * share) > math.floor(number * share)


def _places(trials: Iterable[Trial]) -> list[_Place]:
    """Cells in the order in which they were first added, with what their seeds gave."""
    by_cell: defaultdict[Cell, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_cell[trial.cell].append(trial)
    return [
        _Place(
            cell,
            _values(own, "finished") or _values(own, "pruned"),
            any(one.state == "open" for one in own),
            without_code({key: value for one in own for key, value in one.memory.items()}),
        )
        for cell, own in by_cell.items()
    ]


def _values(trials: Sequence[Trial], state: str) -> tuple[float, ...]:
    """Of the trials that ended like that."""
    return tuple(one.value for one in trials if one.state == state and one.value is not None)


def _told(
    study: OptunaStudy, places: Sequence[_Place], distributions: Distributions, sign: int
) -> float:
    """Tell a study what is known, and give what counts for the value of what is under way."""
    values = {one.cell: sum(one.values) / len(one.values) for one in places if one.values}
    finite = [value for value in values.values() if math.isfinite(value)] or [0.0]
    worst = max(finite, key=lambda value: sign * value)
    for place in places:
        memory = dict(place.memory)
        for key, attribute in memory.pop(OF_STUDY, {}).items():
            study._storage.set_study_system_attr(study._study_id, key, attribute)
        value = values.get(place.cell)
        if value is None and not place.is_open:
            continue  # given up
        told = worst if value is None or not math.isfinite(value) else value
        study.add_trial(
            optuna.trial.create_trial(
                params={name: _left(name, place.cell.value(name)) for name in distributions},
                distributions=distributions,
                value=told,
                system_attrs=memory,
            )
        )
    return worst


def _memory(study: OptunaStudy) -> dict[str, Any]:
    """What a sampler wrote down with the newest trial, and with its study."""
    own = dict(study._storage.get_study_system_attrs(study._study_id))
    newest = study.get_trials(deepcopy=False)[-1].system_attrs
    return {**newest, **({OF_STUDY: own} if own else {})}


def _distribution(name: str, axis: Axis) -> BaseDistribution:
    """What a number is drawn from: evenly in log; a share such as β2 so that 1 − β2 is."""
    values = axis.positive if name == LAMBDA else axis.values
    number = number_of(name, values)
    if number.whole:
        return IntDistribution(int(values[0]), int(values[-1]), log=True)
    low, high = sorted(_left(name, values[i]) for i in (0, -1))
    return FloatDistribution(low, high, log=True)


def _left(name: str, value: float) -> float:
    """What a sampler sees of a value: of a share what is left of 1."""
    return 1 - value if number_called(name).scale == "share" else value


def _value(name: str, drawn: float, grid: Grid) -> float:
    """The value that was drawn, in few digits, between the ends of its axis."""
    value, values = in_few_digits(drawn), grid.axis(name).values
    if number_called(name).scale == "share":
        value = round(1 - value, SHARE_DIGITS)
    low = grid.axis(name).positive[0] if name == LAMBDA else values[0]
    return float(min(max(value, low), values[-1]))
