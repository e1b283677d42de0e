"""What a study shows, in lines for the terminal: verdicts, and best cells on a border."""

from __future__ import annotations

from collections.abc import Sequence

from landscapes.edges import TOP, extend_command
from landscapes.extend import study_edges
from landscapes.panels import study_panels
from landscapes.separability import separability
from landscapes.words import verdict_line
from study.store import Store


def verdict_lines(store: Store, name: str) -> list[str]:
    """How coupled each panel of a study is, one line a panel.

    Raises:
        UsageError: the database holds no such study.
    """
    return [verdict_line(one.name, separability(one.cells)) for one in study_panels(store, name)]


def edge_lines(store: Store, name: str, panels: Sequence[str] = (), top: int = TOP) -> list[str]:
    """Where best cells lie on the border of a finished grid, each with the command to extend it.

    Args:
        store: where the study is.
        name: of the study.
        panels: only these.
        top: how many best cells to look at.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    return [
        line
        for edge in study_edges(store, name, panels=panels, top=top)
        for line in (edge.sentence, f"  {extend_command(edge, study, store.display_url)}")
    ]
