"""A study grown: beyond the sides of its panels' grids, or by cells between those it has."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from landscape_study.study.errors import SpecError
from landscape_study.study.spec.budgets import source_of
from landscape_study.study.spec.design import MOST_TRIALS, Sampled
from landscape_study.study.spec.grid import Cell, Grid
from landscape_study.study.spec.study import Panel, Study

PanelSide = tuple[str, str]  # a panel's name and one of spec.grid.SIDES
MOST_STEPS = 64
STEPS = 2  # values added: after one alone, the best cells often lie on the border again


@dataclass(frozen=True)
class Further:
    """How a study is extended after it was trained, where best cells lie on a border."""

    rounds: int  # at most
    steps: int = STEPS
    panels: Sequence[str] = ()  # these only, if any
    sides: Sequence[str] = ()  # these only, if any

    def __post_init__(self) -> None:
        """Check.

        Raises:
            SpecError: impossible counts.
        """
        if type(self.rounds) is not int or self.rounds < 0:
            raise SpecError(f"{self.rounds!r} rounds: give a whole number of 0 or more")
        _checked_steps(self.steps)


def _checked_steps(steps: int) -> None:
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
        raise SpecError(f"steps = {steps!r}: give a whole number from 1 to {MOST_STEPS}")


def extended_study(study: Study, sides: Iterable[PanelSide], steps: int = STEPS) -> Study:
    """The study with `steps` more values beyond each named side of its panels.

    Its cells include all of `study`, so that a store keeps these and adds the others. Where a
    sampler asks for the cells, it gets more trials, in proportion to what it may ask for. In the
    place of a panel that has the best cells of another, that one is extended.

    Raises:
        SpecError: no such panel or side, an impossible number of steps, or nothing lies beyond.
    """
    _checked_steps(steps)
    panels = {panel.name: panel for panel in study.panels}
    for name, side in dict.fromkeys((source_of(study.panels, one), side) for one, side in sides):
        old = panels.get(name) or study.panel(name)
        try:
            grid = old.grid.extended(side, steps, is_range=_is_range(old))
        except SpecError as e:
            raise SpecError(f"study '{study.name}', panel '{name}', {e}") from e
        grown: dict[str, object] = {"grid": grid}
        if old.sampled:
            grown["design"] = _with_more_trials(old.sampled, old.grid, grid)
        panels[name] = Panel(**(dict(old) | grown))
    return study.change(panels=tuple(panels.values()))


def _is_range(panel: Panel) -> bool:
    """Whether its cells lie anywhere between the ends of its axes."""
    return panel.sampled is not None and not panel.sampled.keeps_to_grid


def _with_more_trials(design: Sampled, old: Grid, new: Grid) -> Sampled:
    """The design with as many times more trials as there is more to ask for."""
    if design.keeps_to_grid:
        before, after = old.alone.size, new.alone.size
        trials = -(-design.trials * after // before)
    else:
        trials = math.ceil(design.trials * new.octaves / old.octaves)
    return Sampled(**(dict(design) | {"trials": min(trials, MOST_TRIALS)}))


def refined_study(study: Study, cells: Mapping[str, Sequence[Cell]]) -> Study:
    """The study with more cells beside the grids of its panels, by their names.

    In the place of a panel that has the best cells of another, that one gets them.

    Its cells include all of `study`, so that a store keeps these and adds the others.

    Raises:
        SpecError: no such panel, or a cell lies beyond its axes.
    """
    more: defaultdict[str, list[Cell]] = defaultdict(list)
    for name, new in cells.items():
        more[source_of(study.panels, study.panel(name).name)] += new
    return study.change(
        panels=[
            panel.changed({"extra_cells": tuple(dict.fromkeys((*panel.grid.extra, *new)))})
            if (new := more[panel.name])
            else panel
            for panel in study.panels
        ]
    )
