"""Storing results that were trained elsewhere: whole, or nothing of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.store import Store, sealed_row
from landscape_study.study.store.claims import set_trials
from landscape_study.study.store.creation import insert_cells, optuna_study
from landscape_study.study.store.database import now
from landscape_study.study.store.results import Result, write_results
from landscape_study.study.store.seals import Place
from landscape_study.study.store.stored_cells import place_of
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import run_table as _run
from landscape_study.study.store.tables import study_table as _study

State = Literal["finished", "pruned", "failed", "open"]

CHUNK_STATES: dict[State, str] = {
    "finished": "done",
    "pruned": "pruned",
    "failed": "failed",
    "open": "open",
}
TRIAL_STATES: dict[State, TrialState] = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "open": TrialState.WAITING,
}
REASON = "it failed where it was trained"


@dataclass(frozen=True)
class ImportedRun:
    """A run that was trained elsewhere.

    Attributes:
        place: panel, seed, cell.
        state: pruned: its value is at least this bad; open: it had not ended.
        value: of the study's metric, in its unit; infinite, on the worse side, where it diverged
            and has none. It is not looked at where the run failed or is open.
        diverged_epoch: as of `Result`.
        curves: float32 [E] per metric; none, or all of one length.
    """

    place: Place
    state: State
    value: float
    diverged_epoch: int
    curves: Mapping[str, np.ndarray]

    def result(self, metric: Metric) -> Result:
        """What is stored of it; its numbers as Python's own, as seals are of their texts."""
        panel, seed, cell = self.place
        return Result(
            place=(panel, int(seed), Cell(float(cell.alpha), float(cell.lambda_), cell.own)),
            metric=metric.name,
            value=float(self.value),
            train_loss=None,
            test_loss=None,
            diverged_epoch=int(self.diverged_epoch),
            seconds=None,
            curves=dict(self.curves),
        )


def imported_runs(
    cells: Iterable[Mapping[str, Any]], curves: Iterable[Mapping[str, Any]]
) -> list[ImportedRun]:
    """Runs from rows as `Store.cells` and `Store.curves` give them."""
    of: defaultdict[Place, dict[str, np.ndarray]] = defaultdict(dict)
    for row in curves:
        of[place_of(row)][row["metric"]] = row["values"]
    return [
        ImportedRun(
            place=place_of(row),
            state=row["state"],
            value=row["value"],
            diverged_epoch=row["diverged_epoch"],
            curves=of.get(place_of(row), {}),
        )
        for row in cells
    ]


def import_study(
    store: Store, study: Study, runs: Iterable[ImportedRun], provenance: Mapping[str, object]
) -> None:
    """Store a study that was trained elsewhere, in one transaction.

    Args:
        store: where.
        study: of the task "imported", its panels with the grids on which the runs lie.
        runs: each place once.
        provenance: where they come from.

    Raises:
        UsageError: a study of this name is there already.
    """
    groups: defaultdict[tuple[str, int, State], list[ImportedRun]] = defaultdict(list)
    for run in runs:
        panel, seed, _ = run.place
        groups[panel, seed, run.state].append(run)

    def work(connection: Connection) -> None:
        study_id = _new_study(store, connection, study, provenance)
        added: defaultdict[tuple[str, int], int] = defaultdict(int)
        for (panel, seed, state), some in groups.items():
            first = added[panel, seed]
            _insert(connection, study_id, study, study.panel(panel), seed, state, some, first)
            added[panel, seed] += len(some)

    store.database.write(work)


def copy_imported(into: Store, source: Store, study: Study) -> int:
    """Take over a study that was trained elsewhere; how many cells, 0 where it is there.

    Raises:
        UsageError: another study of its name is there.
    """
    rows = source.cells(study.name)
    if study.name not in into.names():
        provenance = (run["provenance"] for run in source.runs(study.name))
        runs = imported_runs(rows, source.curves(study.name))
        import_study(into, study, runs, next(provenance, {}))
        return len(rows)
    if into.study(study.name) != study or _facts(into.cells(study.name)) != _facts(rows):
        raise UsageError(
            f"{into.name}: another study '{study.name}' is there, nothing was taken: import the "
            "files under another --name"
        )
    return 0


def _facts(rows: Iterable[Mapping[str, Any]]) -> set[tuple[object, ...]]:
    """What is the same of cells in two databases, whatever the numbers of their trials."""
    return {
        (*place_of(row), row["state"], repr(row["value"]), row["diverged_epoch"]) for row in rows
    }


def _new_study(
    store: Store, connection: Connection, study: Study, provenance: Mapping[str, object]
) -> int:
    """The row of the study, and where it comes from; its id."""
    name_taken = _study.c.name == study.name
    # The first statement writes: it takes the lock under which the rest is decided.
    if connection.execute(_study.update().where(name_taken).values(name=study.name)).rowcount:
        raise UsageError(
            f"{store.name}: study '{study.name}' is there already, nothing was stored: choose "
            "another --name"
        )
    text = json.dumps(provenance)
    inserted = connection.execute(
        _study.insert().values(
            name=study.name, **sealed_row(study, fingerprint="imported"), created=now()
        )
    )
    study_id: int = inserted.inserted_primary_key[0]  # type: ignore[index]
    moment = {"started": now(), "ended": now(), "provenance": text}
    connection.execute(_run.insert().values(study_id=study_id, **moment))
    return study_id


def _insert(
    connection: Connection,
    study_id: int,
    study: Study,
    panel: Panel,
    seed: int,
    state: State,
    runs: Sequence[ImportedRun],
    first_number: int,
) -> None:
    """Runs of one panel, seed and state, as a chunk."""
    facts: dict[str, Any] = {"study_id": study_id, "panel": panel.name, "seed": seed}
    facts |= {"state": CHUNK_STATES[state], "reason": REASON if state == "failed" else None}
    inserted = connection.execute(_chunk.insert().values(**facts, attempts=1))
    chunk_id: int = inserted.inserted_primary_key[0]  # type: ignore[index]
    cells = [run.place[2] for run in runs]
    home = optuna_study(connection, study, panel, seed)
    trials = insert_cells(connection, panel, home, [(chunk_id, cells)], first_number)
    set_trials(connection, chunk_id, TRIAL_STATES[state])
    if state in ("finished", "pruned"):
        write_results(connection, trials, [run.result(study.metric) for run in runs])
