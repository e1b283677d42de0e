"""The claim: which worker trains which chunk, and the fence in front of every result.

A claim is a lease on the database's clock; whoever holds it may write, and nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.errors import LeaseLostError
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker, is_dead
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.spec.cell_numbers import from_text
from landscape_study.study.spec.study import Cell
from landscape_study.study.store.columns import where_known
from landscape_study.study.store.database import now
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.results import UNKNOWN_EPOCH, Result, results_of, write_results
from landscape_study.study.store.seals import Place
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import run_table as _run
from landscape_study.study.store.tables import study_table as _study

LEASE = 120.0  # seconds a claim lives without a beat
DEATHS = 3  # workers that a chunk may kill before its cells are trained one at a time
LOSSES = 10  # times that it may be lost with a whole run before: most had their own reasons


@dataclass(frozen=True)
class Claim:
    """A chunk held by one worker: what to train, and where each cell's result goes."""

    chunk_id: int
    token: str
    panel: str
    seed: int
    attempts: int  # this one included
    cells: tuple[Cell, ...]
    trial_ids: tuple[int, ...]  # in the order of `cells`


def claim(
    connection: Connection, name: str, worker: Worker, run_id: int, lease: float
) -> Claim | None:
    """Take the first open chunk of the study that nobody holds; None if there is none now."""
    is_open = (_chunk.c.study_id == _study_id(name)) & (_chunk.c.state == "open")
    _release_lost_runs(connection, is_open)
    _split_after_deaths(connection, is_open)
    row = _taken_before(connection, is_open, worker)
    if row is None:
        row = _take(connection, is_open, worker, run_id, lease)
    if row is None:
        return None
    cells = connection.execute(
        sa.select(_cell.c.trial_id, _cell.c.alpha, _cell.c["lambda"], _cell.c.own)
        .where(_cell.c.chunk_id == row["chunk_id"])
        .order_by(_cell.c.trial_id)
    ).all()
    set_trials(connection, row["chunk_id"], TrialState.RUNNING, datetime_start=_utc())
    return Claim(
        chunk_id=row["chunk_id"],
        token=worker.token,
        panel=row["panel"],
        seed=row["seed"],
        attempts=row["attempts"],
        cells=tuple(Cell(alpha, el, from_text(own)) for _, alpha, el, own in cells),
        trial_ids=tuple(trial_id for trial_id, *_ in cells),
    )


def _taken_before(
    connection: Connection, is_open: sa.ColumnElement[bool], worker: Worker
) -> RowMapping | None:
    """The chunk that this very claim took already, if the answer to its commit was lost."""
    held = is_open & (_chunk.c.expires > 0) & (_chunk.c.owner == worker.token)
    return connection.execute(sa.select(_chunk).where(held)).mappings().first()


def _take(
    connection: Connection,
    is_open: sa.ColumnElement[bool],
    worker: Worker,
    run_id: int,
    lease: float,
) -> RowMapping | None:
    """Mark the first open chunk that nobody holds as the worker's."""
    free = (
        sa.select(_chunk.c.chunk_id)
        .where(is_open, _chunk.c.expires < now())
        # First what killed no worker, and was never lost with one.
        .order_by(_chunk.c.attempts, _chunk.c.falls, _chunk.c.chunk_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    take = (
        _chunk.update()
        .where(_chunk.c.chunk_id == free.scalar_subquery())
        .values(
            owner=worker.token,
            host=worker.host,
            machine=worker.machine,
            pid=worker.pid,
            born=worker.born,
            device=worker.device,
            run_id=run_id,
            expires=now() + lease,
            beaten=now(),
            attempts=_chunk.c.attempts + 1,
        )
        .returning(_chunk)
    )
    return connection.execute(take).mappings().first()


def beat(connection: Connection, claim: Claim, lease: float) -> None:
    """Prolong the claim, or raise LeaseLostError."""
    prolong = _chunk.update().where(_held(claim)).values(expires=now() + lease, beaten=now())
    if connection.execute(prolong).rowcount == 0:
        raise _lost(claim)


def record(connection: Connection, claim: Claim, outcome: Outcome) -> None:
    """Close the claimed chunk and write its results, or raise LeaseLostError."""
    results = results_of(_places(claim), outcome)
    _record(connection, claim, results, (outcome.pruned_epoch > 0).tolist())


def record_run(connection: Connection, claim: Claim, outcome: RunOutcome, metric: str) -> None:
    """The same of the one cell of a claim that a command of the user's own ran."""
    (place,) = _places(claim)
    result = Result(
        place=place,
        metric=metric,
        value=outcome.value,
        train_loss=None,
        test_loss=None,
        diverged_epoch=UNKNOWN_EPOCH if outcome.diverged else 0,
        seconds=outcome.seconds,
        curves=dict(outcome.curves),
    )
    _record(connection, claim, [result], [outcome.pruned])


def _record(
    connection: Connection, claim: Claim, results: Sequence[Result], pruned: Sequence[bool]
) -> None:
    """Close the claimed chunk and write its results; what was pruned becomes a chunk of its own.

    Raises:
        LeaseLostError: the chunk is not held any more.
    """
    given_up = [k for k, is_pruned in enumerate(pruned) if is_pruned]
    seconds = [result.seconds or 0.0 for result in results]
    of_pruned = sum(seconds[k] for k in given_up)
    if len(given_up) == len(results):
        _close(connection, claim, of_pruned, "pruned")
    else:
        _close(connection, claim, sum(seconds) - of_pruned, "done")
    if 0 < len(given_up) < len(results):
        trial_ids = [claim.trial_ids[k] for k in given_up]
        kept = [column for column in _chunk.c if column.name not in ("chunk_id", "seconds")]
        query = sa.select(*kept).where(_chunk.c.chunk_id == claim.chunk_id)
        facts = dict(connection.execute(query).mappings().one())
        own = move_cells(
            connection, trial_ids, **facts | {"state": "pruned", "seconds": of_pruned}
        )
        set_trials(connection, own, TrialState.PRUNED)
    write_results(connection, claim.trial_ids, results)


def move_cells(connection: Connection, trial_ids: Sequence[int], **facts: Any) -> int:
    """Move cells, by their trials, into a new chunk of these facts; its id."""
    inserted = connection.execute(_chunk.insert().values(**facts))
    own: int = inserted.inserted_primary_key[0]  # type: ignore[index]
    connection.execute(_cell.update().where(_cell.c.trial_id.in_(trial_ids)).values(chunk_id=own))
    return own


def _places(claim: Claim) -> list[Place]:
    return [(claim.panel, claim.seed, cell) for cell in claim.cells]


def _close(connection: Connection, claim: Claim, seconds: float, state: str) -> None:
    """Close the claimed chunk as "done" or "pruned", or raise LeaseLostError."""
    close = (
        _chunk.update()
        .where(_held(claim))
        .values(state=state, owner=None, expires=0.0, seconds=seconds, reason=None)
    )
    if connection.execute(close).rowcount == 0:
        raise _lost(claim)
    ended = TrialState.COMPLETE if state == "done" else TrialState.PRUNED
    set_trials(connection, claim.chunk_id, ended, datetime_complete=_utc())


def release(connection: Connection, claim: Claim) -> None:
    """Give the chunk back untrained; nothing happens if it is no longer held."""
    _release(connection, _held(claim))


def went_on(connection: Connection, claim: Claim, epochs: float) -> None:
    """Note how far a checkpoint is; whoever gets further than ever was not killed by its cells.

    A training that is preempted again and again is no killer, as long as it gets further.
    """
    further = _held(claim) & (sa.func.coalesce(_chunk.c.furthest, 0.0) < epochs)
    cleared = {"attempts": 1, "falls": 0, "furthest": epochs}
    connection.execute(_chunk.update().where(further).values(cleared))


def set_aside(connection: Connection, claim: Claim, reason: str) -> None:
    """Give back what raised an exception; nothing happens if it is no longer held.

    It comes last from now on, cell by cell; a cell that raised alone is given up.
    """
    if len(claim.trial_ids) == 1:
        _fail(connection, _held(claim), reason)
    else:
        aside = _chunk.update().where(_held(claim)).values(reason=reason)
        connection.execute(aside)
        _free(connection, _held(claim))


def has_finished(connection: Connection, name: str) -> bool:
    """Whether any cell of the study is finished."""
    done = (_chunk.c.study_id == _study_id(name)) & (_chunk.c.state == "done")
    return connection.scalar(sa.select(_chunk.c.chunk_id).where(done).limit(1)) is not None


def halve(connection: Connection, claim: Claim) -> None:
    """Give the chunk back as two, as if it had not been claimed; nothing if it is not held."""
    if _release(connection, _held(claim)):
        half = len(claim.trial_ids) // 2
        _split(connection, claim.chunk_id, [claim.trial_ids[half:]])


def fail(connection: Connection, claim: Claim, reason: str) -> None:
    """Give the claimed chunk up for good; nothing happens if it is no longer held."""
    _fail(connection, _held(claim), reason)


def try_again(connection: Connection, claim: Claim) -> None:
    """Give the chunk back as if its worker had died; nothing happens if it is no longer held."""
    _free(connection, _held(claim))


def retry_failed(connection: Connection, name: str) -> int:
    """Open the study's failed chunks again; how many cells they have."""
    again = (
        _chunk.update()
        .where(_chunk.c.study_id == _study_id(name), _chunk.c.state == "failed")
        .values(state="open", attempts=0, falls=0, reason=None)
        .returning(_chunk.c.chunk_id)
    )
    chunks = connection.scalars(again).all()
    for chunk_id in chunks:
        set_trials(connection, chunk_id, TrialState.WAITING, datetime_start=None)
    cells = sa.select(sa.func.count()).where(_cell.c.chunk_id.in_(chunks))
    return connection.scalar(cells) or 0


def release_run(connection: Connection, run_id: int) -> None:
    """Give back all chunks that workers of the run hold."""
    _release(connection, (_chunk.c.run_id == run_id) & _chunk.c.owner.is_not(None))


def release_dead(connection: Connection, name: str) -> int:
    """Free the chunks of workers on this machine that have died; how many there were."""
    held = (
        sa.select(_chunk, _run.c.provenance)
        .join(_run, isouter=True)
        .where(_chunk.c.study_id == _study_id(name), _chunk.c.state == "open")
        .where(_chunk.c.owner.is_not(None))
        .with_for_update(of=_chunk)
    )
    rows = connection.execute(held).mappings()
    dead = [row for row in rows if is_dead(row["machine"], row["pid"], row["born"])]
    # Who died with the parent was not killed by what it trained, but by a power cut, say.
    guiltless = [row["owner"] for row in dead if _is_parent_dead(row["provenance"])]
    _release(connection, _chunk.c.owner.in_(guiltless), with_run=True)
    _free(connection, _chunk.c.owner.in_([row["owner"] for row in dead]))
    return len(dead)


def _is_parent_dead(provenance: str | None) -> bool:
    """Whether the process that began a run is known to be gone."""
    process = json.loads(provenance or "{}").get("process")
    return process is not None and is_dead(**process)


def is_open(connection: Connection, name: str) -> bool:
    """Whether any chunk of the study is still to be trained, held or not."""
    query = (
        sa.select(_chunk.c.chunk_id)
        .where(_chunk.c.study_id == _study_id(name), _chunk.c.state == "open")
        .limit(1)
    )
    return connection.scalar(query) is not None


def open_cells(connection: Connection) -> set[tuple[str, str, int, Cell]]:
    """The cells of any study that are still to be trained: study, panel, seed, cell."""
    query = (
        sa.select(
            *(_study.c.name, _chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"]),
            where_known(connection, _cell.c.own),
        )
        .join_from(_cell, _chunk)
        .join(_study)
        .where(_chunk.c.state == "open")
    )
    rows = connection.execute(query)
    return {
        (study, panel, seed, Cell(alpha, el, from_text(own)))
        for study, panel, seed, alpha, el, own in rows
    }


def is_free(connection: Connection, name: str) -> bool:
    """Whether any open chunk of the study is there for whoever claims it."""
    free = (_chunk.c.state == "open") & (_chunk.c.expires < now())
    query = sa.select(_chunk.c.chunk_id).where(_chunk.c.study_id == _study_id(name), free)
    return connection.scalar(query.limit(1)) is not None


def claimants(connection: Connection, run_id: int) -> set[int]:
    """Process ids of the run's workers that hold a chunk or were the last to hold one."""
    query = sa.select(_chunk.c.pid).where(_chunk.c.run_id == run_id, _chunk.c.pid.is_not(None))
    return set(connection.scalars(query.distinct()))


def leases(connection: Connection, run_id: int) -> dict[int, float]:
    """For how many seconds more the claims of the run's workers live, by process id."""
    query = sa.select(_chunk.c.pid, (_chunk.c.expires - now()).label("left")).where(
        _chunk.c.run_id == run_id, _chunk.c.state == "open", _chunk.c.owner.is_not(None)
    )
    return {row["pid"]: row["left"] for row in connection.execute(query).mappings()}


def _study_id(name: str) -> sa.ScalarSelect[int]:
    return sa.select(_study.c.study_id).where(_study.c.name == name).scalar_subquery()


def _held(claim: Claim) -> sa.ColumnElement[bool]:
    """Whether the chunk is still the claim's: what every write by a worker is fenced with."""
    mine = (_chunk.c.chunk_id == claim.chunk_id) & (_chunk.c.owner == claim.token)
    return mine & (_chunk.c.state == "open")


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(
        f"chunk {claim.chunk_id} of panel '{claim.panel}', seed {claim.seed}, is no longer held "
        "by this worker: its results were not recorded, another worker trains it"
    )


def _release(
    connection: Connection, which: sa.ColumnElement[bool], *, with_run: bool = False
) -> Sequence[int]:
    """Give chunks back as if they had not been claimed; which ones these were.

    Args:
        with_run: whether their worker was lost with its whole run, which is noted.
    """
    falls = _chunk.c.falls + int(with_run)
    return _free(connection, which, attempts=_chunk.c.attempts - 1, falls=falls)


def _free(
    connection: Connection, which: sa.ColumnElement[bool], **counts: sa.ColumnElement[int]
) -> Sequence[int]:
    """Take chunks from whoever holds them: what these still send is refused."""
    free = (
        _chunk.update()
        .where(which, _chunk.c.state == "open")
        .values(owner=None, expires=0.0, **counts)
        .returning(_chunk.c.chunk_id)
    )
    freed = connection.scalars(free).all()
    for chunk_id in freed:
        set_trials(connection, chunk_id, TrialState.WAITING, datetime_start=None)
    return freed


def _release_lost_runs(connection: Connection, is_open: sa.ColumnElement[bool]) -> None:
    """Give back what workers held whose whole run is lost: hardly by what they trained.

    A run that gave no sign of life since the claim ended counts as lost: its machine may be.
    """
    is_over = _run.c.ended.is_not(None) | (_run.c.expires < now())
    is_silent = _run.c.expires - LEASE < _chunk.c.expires  # last heard before the claim ended
    is_lost = sa.exists().where(_run.c.run_id == _chunk.c.run_id, is_over | is_silent)
    has_ended = (_chunk.c.expires > 0) & (_chunk.c.expires < now())
    _release(connection, is_open & has_ended & is_lost, with_run=True)


def _split_after_deaths(connection: Connection, is_open: sa.ColumnElement[bool]) -> None:
    """Let what killed too many workers train one cell at a time, and give up what still kills.

    So too with what was lost too often with a run: it may have taken that along.
    """
    suspect = (_chunk.c.attempts >= DEATHS) | (_chunk.c.falls >= LOSSES)
    suspect |= _chunk.c.reason.is_not(None)  # it raised an exception
    killers = (
        sa.select(_chunk)
        .where(is_open, suspect, _chunk.c.expires < now())
        .with_for_update(skip_locked=True)
    )
    for row in connection.execute(killers).mappings().all():
        by_chunk = _cell.c.chunk_id == row["chunk_id"]
        trials = connection.scalars(sa.select(_cell.c.trial_id).where(by_chunk)).all()
        if len(trials) > 1:
            _free(connection, _chunk.c.chunk_id == row["chunk_id"])
            _split(connection, row["chunk_id"], [(trial_id,) for trial_id in trials[1:]])
        elif row["attempts"] > DEATHS or row["falls"] > LOSSES:
            _fail(connection, _chunk.c.chunk_id == row["chunk_id"], _what_it_killed(row))


def _what_it_killed(row: RowMapping) -> str:
    where = f"{row['host']}, {row['device']}"
    if row["attempts"] > DEATHS:
        return f"killed {row['attempts']} workers, the last one alone (on {where})"
    return f"lost {row['falls']} times with whoever trained it, the last time alone (on {where})"


def _split(connection: Connection, chunk_id: int, parts: Sequence[Sequence[int]]) -> None:
    """Move cells, by their trials, from a chunk that nobody holds into chunks of their own."""
    kept = ("study_id", "panel", "seed", "attempts", "falls")
    query = sa.select(*(_chunk.c[name] for name in kept)).where(_chunk.c.chunk_id == chunk_id)
    facts = dict(connection.execute(query).mappings().one())
    for trial_ids in parts:
        move_cells(connection, trial_ids, **facts)


def _fail(connection: Connection, which: sa.ColumnElement[bool], reason: str) -> None:
    """Close chunks without results."""
    close = (
        _chunk.update()
        .where(which)
        .values(state="failed", owner=None, expires=0.0, reason=reason)
        .returning(_chunk.c.chunk_id)
    )
    for chunk_id in connection.scalars(close).all():
        set_trials(connection, chunk_id, TrialState.FAIL, datetime_complete=_utc())


def set_trials(connection: Connection, chunk_id: int, state: TrialState, **times: Any) -> None:
    """Set the state and times of the chunk's Optuna trials."""
    ids = sa.select(_cell.c.trial_id).where(_cell.c.chunk_id == chunk_id)
    change = _trial.update().where(_trial.c.trial_id.in_(ids))
    connection.execute(change.values(state=state, **times))


def _utc() -> datetime:
    """Now, as Optuna stores it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
