"""Joining two databases of the same studies: what one lacks, it takes over from the other.

Only cells that ended are taken, finished or pruned, and only whole ones, so that merging a damaged
database into a new one saves what can be saved. What has ended in both stays as it is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.errors import StoreError, UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.asking import reopen_promoted, take_over, trials
from landscape_study.study.store.claims import move_cells
from landscape_study.study.store.columns import raw, where_known
from landscape_study.study.store.creation import lock
from landscape_study.study.store.importing import copy_imported
from landscape_study.study.store.optuna_tables import measured
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.queries import facts, is_running, witness_rows
from landscape_study.study.store.results import Result, write_results
from landscape_study.study.store.seals import Place
from landscape_study.study.store.stored_cells import (
    StoredCell,
    is_same,
    place_of,
    places_of,
    stored_cells,
)
from landscape_study.study.store.tables import ENDED
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import run_table as _run
from landscape_study.study.store.tables import study_table as _study
from landscape_study.study.store.tables import witness_table as _witness

MOMENTS = ("datetime_start", "datetime_complete")  # of a trial

AT_ONCE = 4096  # cells that are read and written in one transaction


@dataclass(frozen=True)
class Merged:
    """What became of a study, in cells."""

    study: str
    taken: int = 0
    there: int = 0  # finished already
    differing: int = 0  # of these, with another error than in the other database
    difference: float = 0.0  # at most so many points
    torn: int = 0  # not taken: finished there, but not whole
    open: int = 0  # still to be trained


def merge(
    into: Store, source: Store, names: Sequence[str], *, accept_source: bool = False
) -> Iterator[Merged]:
    """Take over what `into` lacks of these studies of `source`, or of all if none is named.

    Interrupted, it may be begun again: what was taken is there then.

    Args:
        accept_source: whether the source of a user's own task may differ.

    Raises:
        UsageError: both are the same database, or `source` has no such study.
        StudyMismatchError: a study of this name differs in more than its size.
        StoreError: workers are training the study in `into`.
    """
    if _are_same(into, source):
        raise UsageError(f"{into.name}: this is the same database twice: name two")
    for name in names or source.names():
        yield _merge_study(into, source, name, accept_source)


def _are_same(a: Store, b: Store) -> bool:
    """Whether two stores are one database, under whatever names."""
    if a.database.is_sqlite and b.database.is_sqlite:
        return Path(a.database.name).samefile(b.database.name)
    return a.url == b.url


def _merge_study(into: Store, source: Store, name: str, accept_source: bool) -> Merged:
    study, cells = source.read_study(name, lambda c, study: (study, stored_cells(c, study)))
    if study.is_imported:
        if any(cell.is_torn for cell in cells):
            raise StoreError(
                f"{source.name}: study '{name}' is not whole there, nothing was taken: `landscape "
                f"check {name}` says what is wrong with it; import its files again"
            )
        taken = copy_imported(into, source, study)
        return Merged(name, taken=taken, there=len(cells) - taken)
    chunks: defaultdict[int, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        chunks[cell.row["chunk_id"]].append(cell)
    most = max(map(len, chunks.values()), default=1)
    first_new = into.database.read(lambda c: c.scalar(sa.select(sa.func.max(_chunk.c.chunk_id))))
    identity = source.identity(study.name)
    into.create(study, identity, lambda new: _evenly(new, most), accept_source=accept_source)
    grown, asked = into.study(study.name), source.asked(name)
    for panel in study.panels:
        if panel.asked:
            others = source.database.read(partial(trials, name=name, panel=panel.name))
            count = asked.get(panel.name, 0)
            into.database.write(
                partial(take_over, study=study, panel=panel, others=others, asked=count)
            )
    _refuse_broken(into, study.name)
    finished = into.database.read(partial(_finished, study.name))
    found = Merged(study.name, torn=sum(cell.is_torn for cell in cells))
    for group in _groups(list(chunks.values())):
        results = source.database.read(partial(_Results, group, finished, study.metric.name))
        found = _sum(found, into.database.write(partial(_take, into, grown, results)))
        if not all(cell.is_whole for chunk in group for cell in chunk):
            into.database.write(partial(_regroup, study.name, group, first_new or 0))
    into.database.write(partial(_remove_empty, study.name))
    errors = {cell.place: cell.row["value"] for cell in cells if cell.is_whole}
    witnesses = source.database.read(partial(witness_rows, name=study.name))
    into.database.write(partial(_take_witnesses, study.name, witnesses, errors))
    progress = into.progress(study.name)
    return replace(found, open=sum(p.total - p.ended for p in progress))


def _refuse_broken(into: Store, name: str) -> None:
    """Raise StoreError where results have no place: a cell is lost, or an open one has some."""
    whole, cells = into.read_study(name, lambda c, study: (study, stored_cells(c, study)))
    lost = set(places_of(whole)) - {cell.place for cell in cells}
    if lost or any(cell.lost and cell.row["state"] != "done" for cell in cells):
        raise StoreError(
            f"{into.name}: study '{name}' is not whole there, nothing was taken: `landscape check "
            f"{name}` says what is wrong with it; or merge both into a new database"
        )


def _evenly(cells: Sequence[Cell], most: int) -> list[Sequence[Cell]]:
    return [cells[i : i + most] for i in range(0, len(cells), most)]


def _groups(chunks: Sequence[list[StoredCell]]) -> Iterator[list[list[StoredCell]]]:
    """The chunks in groups of some thousand cells."""
    group: list[list[StoredCell]] = []
    for chunk in chunks:
        group.append(chunk)
        if sum(map(len, group)) >= AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _finished(name: str, connection: Connection) -> set[Place]:
    """The cells of the study that have ended here with results."""
    targets = _targets(connection, _study_id(connection, name), lock=False)
    return {place for place, row in targets.items() if row["is_done"]}


def _sum(a: Merged, b: Merged) -> Merged:
    return replace(
        a,
        taken=a.taken + b.taken,
        there=a.there + b.there,
        differing=a.differing + b.differing,
        difference=max(a.difference, b.difference),
    )


class _Results:
    """All that belongs to the whole cells of some chunks, but for those that are `finished` here.

    Attributes:
        chunks: their whole cells, those of one chunk together, and how many it has in all.
        of: what became of each cell, by trial.
        times: when each trial began and ended.
        runs: in which they were trained, by id.
    """

    def __init__(
        self,
        group: list[list[StoredCell]],
        finished: set[Place],
        metric: str,
        connection: Connection,
    ) -> None:
        self.chunks = [([cell.row for cell in c if cell.is_whole], len(c)) for c in group]
        rows = {
            row["trial_id"]: (row, size)
            for chunk, size in self.chunks
            for row in chunk
            if place_of(row) not in finished
        }
        curves = _curves(connection, list(rows))
        self.of = {
            trial: _result(row, size, metric, curves[trial]) for trial, (row, size) in rows.items()
        }
        self.times = _times(connection, list(rows))
        runs = sa.select(_run).where(_run.c.run_id.in_({c[0].row["run_id"] for c in group}))
        self.runs = {row["run_id"]: row for row in connection.execute(runs).mappings()}


def _curves(connection: Connection, trials: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
    """The curves of these trials, by metric."""
    query = sa.select(_curve.c.trial_id, _curve.c.metric, _curve.c.data)
    found: defaultdict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for trial, metric, data in connection.execute(query.where(_curve.c.trial_id.in_(trials))):
        found[trial][metric] = np.frombuffer(data, "<f4")
    return found


def _result(row: RowMapping, size: int, metric: str, curves: dict[str, np.ndarray]) -> Result:
    """What became of a whole cell."""
    return Result(
        place=place_of(row),
        metric=metric,
        value=row["value"],
        train_loss=row["train_loss"],
        test_loss=row["test_loss"],
        diverged_epoch=row["diverged_epoch"],
        seconds=_seconds(row) / size,
        curves=curves,
    )


def _seconds(row: RowMapping) -> float:
    """Wall time of a cell's chunk; what is no length of time counts as none."""
    took = row["seconds"]
    return took if isinstance(took, int | float) and 0 <= took < math.inf else 0.0


def _text(value: object) -> str | None:
    return printable(value) if isinstance(value, str) else None


def _times(connection: Connection, trials: Sequence[int]) -> dict[int, dict[str, Any]]:
    """When these trials began and ended in Optuna; None where that is no time."""
    query = sa.select(_trial.c.trial_id, *(raw(_trial.c[name]) for name in MOMENTS))
    rows = connection.execute(query.where(_trial.c.trial_id.in_(trials))).mappings()
    return {row["trial_id"]: {name: _moment(row[name]) for name in MOMENTS} for row in rows}


def _moment(stored: object) -> datetime | None:
    """PostgreSQL gives a time, SQLite a text."""
    if isinstance(stored, datetime):
        return stored
    try:
        return datetime.fromisoformat(str(stored))
    except ValueError:
        return None


def _targets(
    connection: Connection, study_id: int, *, lock: bool = True
) -> dict[Place, RowMapping]:
    """The study's cells by their place.

    Where they are locked, nobody else changes their chunks until the commit.
    """
    query = (
        sa.select(
            *(_chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"]),
            where_known(connection, _cell.c.own),
            *(_cell.c.trial_id, _cell.c.chunk_id),
            _chunk.c.state.in_(ENDED).label("is_done"),
            is_running().label("is_held"),
            measured.label("error"),
        )
        .join_from(_cell, _chunk, _chunk.c.chunk_id == _cell.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_chunk.c.study_id == study_id)
    )
    if lock:
        query = query.with_for_update(of=_chunk)
    return {place_of(row): row for row in connection.execute(query).mappings()}


def _study_id(connection: Connection, name: str) -> int:
    return connection.scalars(sa.select(_study.c.study_id).where(_study.c.name == name)).one()


def _take(into: Store, study: Study, results: _Results, connection: Connection) -> Merged:
    """Write results into the cells of the study that are not finished yet.

    Panels that have the best cells of others may ask again: what is taken may be among these.
    """
    lock(connection, study.name)
    name = study.name
    study_id, found = _study_id(connection, name), Merged(name)
    targets = _targets(connection, study_id)
    for whole, size in results.chunks:
        mine = [row for row in whole if not targets[place_of(row)]["is_done"]]
        if any(targets[place_of(row)]["is_held"] for row in mine):
            raise StoreError(
                f"{into.name}: study '{name}' is being trained there: stop its workers or wait "
                f"for them, then merge again (`landscape status {name}` shows them)"
            )
        if mine:
            trials = {row["trial_id"]: targets[place_of(row)]["trial_id"] for row in mine}
            facts: dict[str, Any] = {key: _text(mine[0][key]) for key in ("host", "device")}
            facts["attempts"] = mine[0]["attempts"] if type(mine[0]["attempts"]) is int else 0
            facts["seconds"] = _seconds(mine[0]) * len(mine) / size
            facts["state"] = mine[0]["state"]
            facts["run_id"] = _same_run(connection, study_id, results.runs.get(mine[0]["run_id"]))
            _dispossess(connection, {targets[place_of(row)]["chunk_id"] for row in mine})
            _move(connection, study_id, mine[0], [*trials.values()], **facts)
            _copy(connection, mine, trials, results)
        found = _sum(found, _compare(whole, mine, targets))
    if found.taken:
        reopen_promoted(connection, study)
    return found


def _take_witnesses(
    name: str, rows: Sequence[RowMapping], errors: dict[Place, float], connection: Connection
) -> None:
    """Write the witnesses that are not here yet, if they say something of what is here.

    One that agrees does so of its own cell: that must have the same error here as there. One that
    disagrees tells of the engine, and of all cells of its panel that are the same here as there.
    """
    study_id = _study_id(connection, name)
    here = {place: row["error"] for place, row in _targets(connection, study_id).items()}
    known = {place for place in errors if here.get(place) is not None}
    same = {place for place in known if is_same(here[place], errors[place])}
    panels = {panel for panel, *_ in same}
    written = {(row["panel"], row["written"]) for row in witness_rows(connection, name)}
    for row in rows:
        tells = place_of(row) in same or (not row["agrees"] and row["panel"] in panels)
        if tells and (row["panel"], row["written"]) not in written:
            facts = {key: value for key, value in row.items() if key != "witness_id"}
            connection.execute(_witness.insert().values(facts | {"study_id": study_id}))


def _dispossess(connection: Connection, chunk_ids: Iterable[int]) -> None:
    """Let workers that are late find their claim lost: it holds cells that are finished now."""
    late = _chunk.c.chunk_id.in_(chunk_ids) & _chunk.c.owner.is_not(None)
    connection.execute(_chunk.update().where(late).values(owner=None, expires=0.0))


def _same_run(connection: Connection, study_id: int, run: RowMapping | None) -> int | None:
    """The run of the other database in this one, copied if it is not there."""
    if run is None or not facts(run["provenance"]):
        return None
    same = (_run.c.study_id == study_id) & (_run.c.started == run["started"])
    query = sa.select(_run.c.run_id).where(same, _run.c.provenance == run["provenance"])
    known: int | None = connection.scalar(query)
    if known is not None:
        ended = sa.func.coalesce(_run.c.ended, run["ended"])
        connection.execute(_run.update().where(_run.c.run_id == known).values(ended=ended))
        return known
    own = {key: run[key] for key in ("started", "ended", "expires", "provenance")}
    inserted = connection.execute(_run.insert().values(study_id=study_id, **own))
    return inserted.inserted_primary_key[0]  # type: ignore[index]


def _move(
    connection: Connection, study_id: int, row: RowMapping, trials: Sequence[int], **facts: Any
) -> None:
    """Move cells, by their trials, into a chunk of their own."""
    where = {"study_id": study_id, "panel": row["panel"], "seed": row["seed"]}
    move_cells(connection, trials, **where, **facts)


def _copy(
    connection: Connection,
    cells: Sequence[RowMapping],
    trials: dict[int, int],
    results: _Results,
) -> None:
    """Write all results of cells to trials here, whose numbers are given by those there.

    They are written anew, as after a training, so that nothing broken comes along.
    """
    write_results(connection, [*trials.values()], [results.of[there] for there in trials])
    times = [{"trial_id": row["trial_id"], **results.times[row["trial_id"]]} for row in cells]
    _update(connection, _trial, trials, times, MOMENTS)
    ended = _trial.update().where(_trial.c.trial_id.in_(trials.values()))
    state = TrialState.PRUNED if cells[0]["state"] == "pruned" else TrialState.COMPLETE
    connection.execute(ended.values(state=state))


def _update(
    connection: Connection,
    table: sa.Table,
    trials: dict[int, int],
    rows: Sequence[Any],
    columns: Sequence[str],
) -> None:
    """Set the columns of trials to what the rows say that have their numbers there."""
    own = table.c.trial_id == sa.bindparam("here")
    change = (
        table.update().where(own).values({name: sa.bindparam(f"new_{name}") for name in columns})
    )
    connection.execute(
        change,
        [
            {"here": trials[row["trial_id"]], **{f"new_{name}": row[name] for name in columns}}
            for row in rows
        ],
    )


def _compare(
    whole: Sequence[RowMapping], mine: Sequence[RowMapping], targets: dict[Place, RowMapping]
) -> Merged:
    """How many were taken, how many were there, and by how much these differ."""
    taken = {row["trial_id"] for row in mine}
    there = [row for row in whole if row["trial_id"] not in taken]
    pairs = [(row["value"], targets[place_of(row)]["error"] or 0.0) for row in there]
    differing = [abs(one - other) for one, other in pairs if not is_same(one, other)]
    return Merged("", len(mine), len(there), len(differing), max(differing, default=0.0))


def _regroup(
    name: str, group: list[list[StoredCell]], first_new: int, connection: Connection
) -> None:
    """Let what is new here and still open be trained together with whom it was to be there."""
    study_id = _study_id(connection, name)
    targets = _targets(connection, study_id)
    for chunk in group:
        places = [targets[c.place] for c in chunk if not c.is_whole and c.place in targets]
        is_free = not any(place["is_done"] or place["is_held"] for place in places)
        if places and is_free and all(place["chunk_id"] > first_new for place in places):
            _move(
                connection, study_id, chunk[0].row, [p["trial_id"] for p in places], state="open"
            )


def _remove_empty(name: str, connection: Connection) -> None:
    """Remove the chunks all of whose cells were taken out."""
    empty = ~sa.exists().where(_cell.c.chunk_id == _chunk.c.chunk_id)
    study_id = _study_id(connection, name)
    connection.execute(_chunk.delete().where(_chunk.c.study_id == study_id, empty))
