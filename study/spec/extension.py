"""A study grown beyond the sides of its panels' grids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from landscape_study.study.errors import SpecError
from landscape_study.study.spec.budgets import source_of
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

    Its cells include all of `study`, so that a store keeps these and adds the others. In the
    place of a panel that has the best cells of another, that one is extended.

    Raises:
        SpecError: no such panel or side, an impossible number of steps, or nothing lies beyond.
    """
    _checked_steps(steps)
    panels = {panel.name: panel for panel in study.panels}
    for name, side in dict.fromkeys((source_of(study.panels, one), side) for one, side in sides):
        old = panels.get(name) or study.panel(name)
        try:
            grid = old.grid.extended(side, steps)
        except SpecError as e:
            raise SpecError(f"study '{study.name}', panel '{name}', {e}") from e
        panels[name] = Panel(**(dict(old) | {"grid": grid}))
    return study.change(panels=tuple(panels.values()))
