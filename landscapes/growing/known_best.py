"""Whether it is known where the best cells of a study lie."""

from __future__ import annotations

from collections.abc import Collection

from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT
from landscape_study.study.store import Store


def require_known_best(store: Store, name: str, panels: Collection[str], other: str) -> None:
    """Refuse panels of a study whose best cells nobody knows.

    Args:
        store: where it is.
        name: of the study.
        panels: of it.
        other: what to name in their place: "another --panel".

    Raises:
        UsageError: the panels are unfinished, or the witness of one disagrees.
    """
    own = [p for p in store.progress(name) if p.panel in panels]
    finished, total = sum(p.finished + p.pruned for p in own), sum(p.total for p in own)
    if finished < total:
        raise UsageError(
            f"study '{name}': {finished} of {total} cells are finished, so where the best ones "
            f"lie is not known yet: `landscape resume` it first, or name {other}"
        )
    doubted = [
        one.panel for one in store.witnesses(name) if not one.agrees and one.panel in panels
    ]
    if doubted:
        raise UsageError(
            f"study '{name}': panel '{doubted[0]}' is {DOUBT}, so where the best cells lie is not "
            f"known: train it with --engine referee under another --name, or name {other}"
        )
