"""What a database holds that may not be there yet; nothing is created by looking."""

from __future__ import annotations

from contextlib import closing, suppress

from study.errors import MissingStoreError
from study.spec import Cell, Study
from study.store import Store


def missing_cells(store: str, study: Study) -> dict[str, list[int]]:
    """How many cells a run of `study` would train, by panel, for each seed.

    Args:
        store: a database URL or path.
        study: resolved.

    Raises:
        StudyMismatchError: the database holds a study of this name that differs.
    """
    settled: set[tuple[str, int, Cell]] = set()
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        if study.name in opened.names():
            study = opened.study(study.name).merge(study, opened.name)
            settled = {
                (row["panel"], row["seed"], Cell(row["alpha"], row["lambda"]))
                for row in opened.cells(study.name)
                if row["state"] in ("finished", "failed")
            }
    return {
        panel.name: [
            sum((panel.name, seed, cell) not in settled for cell in panel.grid.cells())
            for seed in study.seeds
        ]
        for panel in study.panels
    }


def engine_begun(store: str, name: str) -> str | None:
    """The engine of the last run of a study that is not finished: what is open goes on by it.

    So what was interrupted repeats to the bit. None where there is no such study or run.
    """
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        if name in opened.names() and opened.is_open(name):
            engines = [run["provenance"].get("engine") for run in opened.runs(name)]
            return engines[-1] if engines else None
    return None


def holds(store: str, name: str) -> bool:
    """Whether there is a database that holds a study of this name."""
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        return name in opened.names()
    return False
