"""Which sides of a stored study's panels to extend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscapes.edges import TOP, Edge, edges
from landscapes.figures import study_landscapes
from study.errors import UsageError
from study.extension import PanelSide, Rounds, extended_study
from study.spec import Study
from study.store import Store


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
    landscapes = study_landscapes(store, name, tuple(dict.fromkeys(panels)))
    found = [edge for landscape in landscapes for edge in edges(landscape, top)]
    return [edge for edge in found if not sides or edge.name in sides]


def sides_to_extend(
    store: Store, name: str, panels: Sequence[str] = (), sides: Sequence[str] = ()
) -> list[PanelSide]:
    """The named sides of the panels (of all, if none is named); without any, where edges are.

    Raises:
        UsageError: no side is named and the panels are unfinished, so that nobody knows yet
            where their best cells lie; the database holds no such study.
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
    return [(edge.panel, edge.name) for edge in study_edges(store, name, panels=names)]


def extensions(store: Store, name: str, rounds: Rounds) -> Iterator[tuple[list[PanelSide], Study]]:
    """The sides of each round and the extended study, until no best cell lies on a border.

    Ask for the next ones when the last have been trained.
    """
    for _ in range(rounds.count):
        found = study_edges(store, name, panels=rounds.panels, sides=rounds.sides)
        if not found:
            return
        beyond = [(edge.panel, edge.name) for edge in found]
        yield beyond, extended_study(store.study(name), beyond, rounds.steps)
