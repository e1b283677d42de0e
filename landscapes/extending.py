"""Studies grown beyond their borders: which sides of their panels, and as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.statistics.edges import TOP, Edge, edges
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT
from landscape_study.study.spec.extension import Further, PanelSide, extended_study
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.validation import names_of

NOTHING_BEYOND = "study {name}: no best cell lies on a border; name a side to extend it"


def study_edges(
    store: Results,
    name: str,
    *,
    panels: Sequence[str] = (),
    sides: Sequence[str] = (),
    top: int = TOP,
) -> list[Edge]:
    """The edges of a study's panels, in its order; of named panels and sides only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    landscapes = study_landscapes(store, name, panels)
    found = [edge for landscape in landscapes for edge in edges(landscape, top)]
    return [edge for edge in found if not sides or edge.name in names_of(sides)]


def sides_to_extend(
    store: Store, name: str, panels: Sequence[str] = (), sides: Sequence[str] = ()
) -> list[PanelSide]:
    """The named sides of the panels (of all, if none is named); without any, where edges are.

    Raises:
        UsageError: no side is named and the panels are unfinished, or a witness disagrees, so that
            nobody knows where their best cells lie; the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    chosen = [study.panel(panel) for panel in names_of(panels)] or study.panels
    names = [panel.name for panel in chosen]
    sides = names_of(sides)
    if sides:
        return [(panel, side) for panel in names for side in sides]
    own = [p for p in store.progress(name) if p.panel in names]
    finished, total = sum(p.finished + p.pruned for p in own), sum(p.total for p in own)
    if finished < total:
        raise UsageError(
            f"study '{name}': {finished} of {total} cells are finished, so where the best ones "
            "lie is not known yet: `landscape resume` it first, or name a --side"
        )
    doubted = [one.panel for one in store.witnesses(name) if not one.agrees and one.panel in names]
    if doubted:
        raise UsageError(
            f"study '{name}': panel '{doubted[0]}' is {DOUBT}, so where the best cells lie is not "
            "known: train it with --engine referee under another --name, or name a --panel or a "
            "--side"
        )
    return [(edge.panel, edge.name) for edge in study_edges(store, name, panels=names)]


def go_beyond_borders(
    store: Store,
    name: str,
    further: Further,
    train: Callable[[Study, int], None],
    tell: Callable[[str], None],
) -> None:
    """Extend a trained study where best cells lie on a border, and train it, again and again.

    Args:
        store: where it is.
        name: of the study.
        further: how often at most, how far, and which panels and sides.
        train: called with the grown study, and how many rounds are left after it.
        tell: called with a line for each round.
    """
    for number in range(1, further.rounds + 1):
        found = study_edges(store, name, panels=further.panels, sides=further.sides)
        if not found:
            return
        beyond = [(edge.panel, edge.name) for edge in found]
        where = f"best cells lie on a border: extending {sides_line(beyond)}"
        tell(f"round {number} of {further.rounds}: {where}")
        train(extended_study(store.study(name), beyond, further.steps), further.rounds - number)


def sides_line(sides: Sequence[PanelSide]) -> str:
    """The sides of panels in a sentence."""
    return ", ".join(f"{panel} {side}" for panel, side in sides)
