"""Which sides of a stored study's panels to extend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.landscapes.statistics.edges import TOP, Edge, edges
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT
from landscape_study.study.spec.extension import PanelSide
from landscape_study.study.store import Store


def study_edges(
    store: Store,
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
    return [edge for edge in found if not sides or edge.name in sides]


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
    chosen = [study.panel(panel) for panel in dict.fromkeys(panels)] or study.panels
    names = [panel.name for panel in chosen]
    if sides:
        return [(panel, side) for panel in names for side in dict.fromkeys(sides)]
    own = [p for p in store.progress(name) if p.panel in names]
    finished, total = sum(p.finished for p in own), sum(p.total for p in own)
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


def rounds(
    store: Store,
    name: str,
    count: int,
    *,
    panels: Sequence[str] = (),
    sides: Sequence[str] = (),
) -> Iterator[list[PanelSide]]:
    """The sides to extend after each training, until no best cell lies on a border.

    Ask for the next ones when the last have been trained; ends after `count` rounds at most.
    Only named panels and sides are extended, if any are.
    """
    for _ in range(count):
        found = study_edges(store, name, panels=panels, sides=sides)
        if not found:
            return
        yield [(edge.panel, edge.name) for edge in found]
