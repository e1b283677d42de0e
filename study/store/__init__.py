"""The database of results: create a grid, claim, beat, record and read.

Every operation is one short transaction whose first statement writes, so that SQLite takes its
lock at once. The unit of work is the chunk: its cells are fixed when the grid is created, and
they are claimed, recorded and released together, so what a cell is trained beside does not
depend on what died or who came first, and a resumed study repeats to the bit.

A claim is a lease on the database's clock. `record` is fenced by the claim's token: a worker
that lost its lease writes nothing.

Optuna's tables are written directly, in bulk (see `optuna_tables`).

It imports the records and the specification. Planning, running and `landscapes` import `Store`.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.errors import MissingStudyError, SpecError
from landscape_study.study.records.identity import Identity, require_same, require_same_code
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import Worker
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.records.standing import Course
from landscape_study.study.records.wishes import Answer, Known
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import asking, claims, queries, results, schema
from landscape_study.study.store.claims import LEASE, Claim
from landscape_study.study.store.columns import raw, where_known
from landscape_study.study.store.courses import courses
from landscape_study.study.store.creation import (
    Chunking,
    add_cells,
    lock,
    optuna_study_name,
    remove_lost,
)
from landscape_study.study.store.database import (
    ADDRESS,
    DEFAULT_URL,
    Database,
    figures_folder,
    now,
)
from landscape_study.study.store.queries import (
    CellMean,
    CellState,
    Failure,
    PanelCell,
    PanelProgress,
    WorkerNow,
)
from landscape_study.study.store.seals import holds, study_seal
from landscape_study.study.store.tables import run_table as _run
from landscape_study.study.store.tables import study_table as _study

__all__ = [
    "DEFAULT_URL",
    "LEASE",
    "CellMean",
    "Claim",
    "Created",
    "Failure",
    "PanelProgress",
    "Store",
    "StoreLike",
    "WorkerNow",
    "address",
    "opened",
    "optuna_study_name",
]

T = TypeVar("T")
StoreLike: TypeAlias = "Store | Path | str | None"  # None: the default, see `address`


@contextmanager
def opened(store: StoreLike, *, create: bool = False) -> Iterator[Store]:
    """The database at a URL or path, closed in the end, or one that is open already and stays so.

    Raises:
        StoreError: as `Store`.
    """
    if isinstance(store, Store):
        yield store
    else:
        with closing(Store(address(store), create=create)) as own:
            yield own


def address(store: StoreLike) -> str:
    """The URL or path of a database; without any, what the environment says, or the default."""
    if isinstance(store, Store):
        return store.url
    return os.environ.get(ADDRESS) or DEFAULT_URL if store is None else str(store)


@dataclass(frozen=True)
class Created:
    """What `Store.create` did: the study as it is now, and how many of its cells are new."""

    study: Study
    new: int


class Store:
    """The database at a URL.

    Args:
        store: a database URL, or the path of an SQLite file.
        create: create what is missing; without it a missing database is an error.

    Raises:
        StoreError: missing, unreadable, damaged, of another program or another schema.
    """

    def __init__(self, store: str, *, create: bool = False) -> None:
        self.database = Database(store, create=create)
        try:
            if create:
                schema.create(self.database)
            schema.check(self.database)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The URL that opens this database again, in another process or by Optuna."""
        return self.database.full_url

    @property
    def name(self) -> str:
        """How messages name the database; holds no password."""
        return self.database.name

    @property
    def display_url(self) -> str:
        """What a user types after --store to open this database again; hides a password."""
        return self.name

    @property
    def said(self) -> tuple[str, ...]:
        """How its studies are understood: nothing of them is guessed."""
        return ()

    def words(self, name: str) -> tuple[str, ...]:
        """What names one of its studies on a command line."""
        return name, "--store", self.display_url

    @property
    def folder(self) -> Path:
        """Where figures go: beside an SQLite file, else into results/."""
        return figures_folder(self.display_url)

    @property
    def checkpoints(self) -> Path:
        """Where workers keep the state of chunks that train for long: beside the database."""
        return self.folder / f"{self.database.label}.checkpoints"

    @property
    def run_folders(self) -> Path:
        """Where runs of users' commands have their folders, by study: beside the database."""
        return self.folder / f"{self.database.label}.runs"

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # ---- studies ------------------------------------------------------------------------------

    def create(
        self,
        study: Study,
        identity: Identity,
        chunking: Chunking,
        *,
        accept_source: bool = False,
    ) -> Created:
        """Create the study, or grow the stored one by the panels, seeds and cells it lacks.

        Args:
            study: resolved, so that its epochs and batch size are numbers.
            identity: of its task.
            chunking: groups the new cells of a panel and seed into chunks.
            accept_source: whether the source of its task and rules may be another than what is
                stored, which it replaces.

        Raises:
            StudyMismatchError: one of this name is stored that differs in more than size, or
                whose task or rule was another.
        """

        def work(connection: Connection) -> Created:
            study_id, merged, before = self._save_study(connection, study, identity, accept_source)
            remove_lost(connection)
            new = add_cells(connection, study_id, merged, chunking)
            for panel in merged.panels:
                if panel.asked:
                    anew = before is not None and asking.asks_anew(before, merged, panel)
                    asking.open_design(connection, study_id, panel, anew=anew)
            return Created(merged, new)

        return self.database.write(work)

    def _save_study(
        self, connection: Connection, study: Study, identity: Identity, accept_source: bool
    ) -> tuple[int, Study, Study | None]:
        """Insert or update the study's row; its id, the study as it is now, and as it was."""
        lock(connection, study.name)
        named = _study.c.name == study.name
        row = connection.execute(sa.select(_study).where(named)).mappings().first()
        if row is None:
            values = {"name": study.name, **sealed_row(study, identity.fingerprint)}
            values |= {"source": identity.source, "created": now()}
            inserted = connection.execute(_study.insert().values(values))
            return inserted.inserted_primary_key[0], study, None  # type: ignore[index]
        old = self._parse_spec(row)
        merged = old.merge(study, self.name)
        stored = Identity(row["fingerprint"], None if accept_source else row["source"])
        require_same(stored, identity, study, self.name)
        if not accept_source:
            require_same_code(old, study, self.name)
        by_id = _study.c.study_id == row["study_id"]
        values = sealed_row(merged, row["fingerprint"])
        values |= {"source": identity.source or row["source"]}
        connection.execute(_study.update().where(by_id).values(values))
        return row["study_id"], merged, old

    def _parse_spec(self, row: RowMapping) -> Study:
        where = f"{self.name}: study '{row['name']}'"
        if not all(isinstance(row[part], str) for part in ("name", "spec", "fingerprint")):
            raise SpecError(f"{where}: what is stored of it is no text, so no study")
        study = _parsed(row["spec"], where)
        seal = study_seal(row["name"], row["spec"], row["fingerprint"])
        if study.name != row["name"] or not holds(row["seal"], seal):
            raise SpecError(f"{where}: what is stored of it was changed since it was recorded")
        return study

    def study(self, name: str) -> Study:
        """The study of this name as it is stored.

        Raises:
            UsageError: there is none.
        """
        return self.database.read(lambda c: self._stored(c, name))

    def identity(self, name: str) -> Identity:
        """Of the study's task when the study was created.

        Raises:
            UsageError: there is no such study.
        """

        def work(connection: Connection) -> Identity:
            row = self._row(connection, name)
            source = sa.select(where_known(connection, _study.c.source))
            return Identity(
                row["fingerprint"], connection.scalar(source.where(_study.c.name == name))
            )

        return self.database.read(work)

    def names(self) -> list[str]:
        """The names of all stored studies, oldest first."""
        query = sa.select(_study.c.name).order_by(_study.c.study_id)
        return list(self.database.read(lambda c: c.scalars(query).all()))

    def studies(self, on_unreadable: Callable[[SpecError], None] = lambda e: None) -> list[Study]:
        """Every stored study that can be read, oldest first.

        Args:
            on_unreadable: called with what is wrong with another.
        """

        def rows(connection: Connection) -> Sequence[RowMapping]:
            query = sa.select(*_read(connection)).order_by(_study.c.study_id)
            return connection.execute(query).mappings().all()

        found = []
        for row in self.database.read(rows):
            try:
                found.append(self._parse_spec(row))
            except SpecError as e:
                on_unreadable(e)
        return found

    def _stored(self, connection: Connection, name: str) -> Study:
        """The study of this name as it is stored."""
        return self._parse_spec(self._row(connection, name))

    def _row(self, connection: Connection, name: str) -> RowMapping:
        query = sa.select(*_read(connection)).where(_study.c.name == name)
        row = connection.execute(query).mappings().first()
        if row is None:
            known = ", ".join(connection.scalars(sa.select(_study.c.name))) or "none yet"
            raise MissingStudyError(f"{self.name}: no study '{name}': it holds {known}")
        return row

    # ---- runs ---------------------------------------------------------------------------------

    def start_run(self, name: str, provenance: dict[str, object], lease: float = LEASE) -> int:
        """Note that a run of the study begins, with its versions and machine; the run's id."""

        def work(connection: Connection) -> int:
            study_id = sa.select(_study.c.study_id).where(_study.c.name == name)
            inserted = connection.execute(
                _run.insert().values(
                    study_id=study_id.scalar_subquery(),
                    started=now(),
                    expires=now() + lease,
                    provenance=json.dumps(provenance),
                )
            )
            return inserted.inserted_primary_key[0]  # type: ignore[index]

        return self.database.write(work)

    def beat_run(self, run_id: int, lease: float = LEASE) -> None:
        """Say that the run's parent is alive: otherwise its workers stop when the lease ends."""
        alive = _run.update().where(_run.c.run_id == run_id).values(expires=now() + lease)
        self.database.write(lambda c: c.execute(alive))

    def is_running(self, run_id: int) -> bool:
        """Whether the run's parent is alive, and has not ended the run."""
        alive = (_run.c.run_id == run_id) & _run.c.ended.is_(None) & (_run.c.expires > now())
        query = sa.select(_run.c.run_id).where(alive)
        return self.database.read(lambda c: c.scalar(query)) is not None

    def end_run(self, run_id: int) -> None:
        """Note that the run ended, and release what its workers still hold."""

        def work(connection: Connection) -> None:
            ended = _run.update().where(_run.c.run_id == run_id).values(ended=now())
            connection.execute(ended)
            claims.release_run(connection, run_id)

        self.database.write(work)

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The study's runs, oldest first: started, ended (seconds since 1970), provenance.

        The last is empty where what is stored of it is none.
        """
        query = (
            sa.select(_run.c.started, _run.c.ended, _run.c.provenance)
            .join(_study)
            .where(_study.c.name == name)
            .order_by(_run.c.run_id)
        )
        rows = self.database.read(lambda c: c.execute(query).mappings().all())
        return [dict(row) | {"provenance": queries.facts(row["provenance"])} for row in rows]

    # ---- the claim ----------------------------------------------------------------------------

    def claim(self, name: str, worker: Worker, run_id: int, lease: float = LEASE) -> Claim | None:
        """Take the first open chunk that nobody holds; None if there is none now."""
        return self.database.write(lambda c: claims.claim(c, name, worker, run_id, lease))

    def beat(self, claim: Claim, lease: float = LEASE) -> None:
        """Prolong the claim.

        Raises:
            LeaseLostError: another worker holds the chunk, or it was released.
        """
        self.database.write(lambda c: claims.beat(c, claim, lease))

    def record(self, claim: Claim, outcome: Outcome) -> None:
        """Write all results of a claimed chunk, and close it.

        Raises:
            LeaseLostError: the claim is no longer ours; nothing was written.
        """
        self.database.write(lambda c: claims.record(c, claim, outcome))

    def record_run(self, claim: Claim, outcome: RunOutcome, metric: str) -> None:
        """Write what a command gave for the one cell of a claim, and close it; as `record`."""
        self.database.write(lambda c: claims.record_run(c, claim, outcome, metric))

    def release(self, claim: Claim) -> None:
        """Give the chunk back untrained; nothing happens if it is no longer ours."""
        self.database.write(lambda c: claims.release(c, claim))

    def release_dead(self, name: str) -> int:
        """Free the chunks of workers on this machine that have died; how many there were."""
        return self.database.write(lambda c: claims.release_dead(c, name))

    def halve(self, claim: Claim) -> None:
        """Give the chunk back as two of half the size; nothing happens if it is not ours."""
        self.database.write(lambda c: claims.halve(c, claim))

    def went_on(self, claim: Claim, epochs: float) -> None:
        """Note that a checkpoint of the chunk holds so many epochs: it kills nobody."""
        self.database.write(lambda c: claims.went_on(c, claim, epochs))

    def set_aside(self, claim: Claim, reason: str) -> None:
        """Give back what raised an exception, to be trained last and cell by cell.

        A cell that raised alone is given up. Nothing happens if the chunk is no longer ours.
        """
        self.database.write(lambda c: claims.set_aside(c, claim, reason))

    def fail(self, claim: Claim, reason: str) -> None:
        """Give the chunk up for good; nothing happens if it is no longer ours."""
        self.database.write(lambda c: claims.fail(c, claim, reason))

    def try_again(self, claim: Claim) -> None:
        """Give the chunk back to be tried again, last of all; nothing if it is no longer ours."""
        self.database.write(lambda c: claims.try_again(c, claim))

    def retry_failed(self, name: str) -> int:
        """Open the failed chunks of the study again; how many cells they have.

        What they give may be among the best, which other panels wait for.
        """

        def work(connection: Connection) -> int:
            lock(connection, name)
            count = claims.retry_failed(connection, name)
            if count:
                asking.reopen_promoted(connection, self._stored(connection, name))
            return count

        return self.database.write(work)

    def is_open(self, name: str) -> bool:
        """Whether any chunk of the study is still to be trained, held or not, or may be added."""
        return self.database.read(
            lambda c: claims.is_open(c, name) or bool(asking.unsettled(c, name))
        )

    def open_cells(self) -> set[tuple[str, str, int, Cell]]:
        """The cells of any study that are still to be trained: study, panel, seed, cell."""
        return self.database.read(claims.open_cells)

    def is_free(self, name: str) -> bool:
        """Whether any open chunk of the study is there for whoever claims it."""
        return self.database.read(lambda c: claims.is_free(c, name))

    def has_finished(self, name: str) -> bool:
        """Whether any cell of the study is finished."""
        return self.database.read(lambda c: claims.has_finished(c, name))

    def claimants(self, run_id: int) -> set[int]:
        """Process ids of the run's workers that hold a chunk or were the last to hold one."""
        return self.database.read(lambda c: claims.claimants(c, run_id))

    def leases(self, run_id: int) -> dict[int, float]:
        """For how many seconds more the claims of the run's workers live, by process id."""
        return self.database.read(lambda c: claims.leases(c, run_id))

    def courses(self, name: str, panel: str) -> list[Course]:
        """The courses of a panel's trials that have ended, for pruners; oldest first."""
        return self.read_study(name, lambda c, study: courses(c, study, panel))

    # ---- cells that a sampler asks for --------------------------------------------------------

    def unsettled(self, name: str) -> tuple[str, ...]:
        """The panels of the study of which a sampler may ask for more cells, in no order."""
        return tuple(self.database.read(lambda c: asking.unsettled(c, name)))

    def settled(self, name: str) -> dict[str, str]:
        """Why nothing more is asked for, by panel of the study whose cells a sampler asks for."""
        return self._read(name, asking.settled)

    def asked(self, name: str) -> dict[str, int]:
        """How many trainings samplers asked for, by panel of the study that has one."""
        return self._read(name, asking.asked)

    def known(self, name: str, panel: str) -> Known | None:
        """What a sampler knows of a panel; None where nothing more is asked for."""
        return self.read_study(name, lambda c, study: asking.known(c, study, panel))

    def ask(self, name: str, seen: Known, answer: Answer, width: int) -> bool:
        """Add what a sampler wants, or note why it wants nothing more.

        Args:
            name: of the study.
            seen: what the sampler knew.
            answer: what it wants then.
            width: most cells of a chunk.

        Returns:
            Whether nobody asked meanwhile, or let the panel grow; else nothing was written.
        """

        def work(connection: Connection) -> bool:
            lock(connection, name)
            study = self._stored(connection, name)
            if (study.panel(seen.panel.name), study.seeds) != (seen.panel, seen.seeds):
                return False
            if answer.settled is not None:
                return asking.settle(connection, study, seen, answer.settled)
            return asking.ask(connection, study, seen, answer.wishes, width)

        return self.database.write(work)

    # ---- witnesses ----------------------------------------------------------------------------

    def record_witness(self, name: str, witness: Witness) -> None:
        """Write a witness of the study: it counts unless an earlier one of its panel disagrees."""
        self.database.write(lambda c: results.write_witness(c, name, witness))

    def witnesses(self, name: str) -> list[Witness]:
        """The witness that counts of each panel that has one, in panel order.

        That is the newest one, or the newest that disagrees.
        """
        return self.read_study(name, queries.witnesses)

    # ---- reading ------------------------------------------------------------------------------

    def count(self, name: str) -> int:
        """How many cells the study has, over all seeds."""
        return self._read(name, queries.count_cells)

    def progress(self, name: str) -> list[PanelProgress]:
        """How far each panel of the study is, in its order."""
        return self.read_study(name, queries.progress)

    def workers(self, name: str) -> list[WorkerNow]:
        """Who holds a chunk of the study, and since when nothing was heard of them."""
        return self._read(name, queries.workers)

    def failures(self, name: str) -> list[Failure]:
        """The cells that were given up, and why."""
        return self._read(name, queries.failures)

    def means(self, name: str) -> list[CellMean]:
        """The mean over the finished seeds of every cell that has one, in no order.

        Far cheaper than `cells`: for looking often while a study runs.
        """
        return self._read(name, queries.means)

    def seed_noise(self, name: str) -> dict[str, float]:
        """How far seeds scatter, by panel: standard deviation of the value, in its unit.

        The median over the cells that several seeds finished; panels without one are left out.
        """
        return self._read(name, queries.seed_noise)

    def cells(self, name: str) -> list[dict[str, Any]]:
        """Every cell of the study, one row each, by panel, seed, α and λ.

        Columns: panel, seed, alpha, lambda, state (finished, running, pruned, failed,
        open), value (of the metric; infinite where it diverged and has none), test_loss,
        train_loss, diverged_epoch, seconds (the cell's share of its
        chunk), trial (number in its Optuna study), attempts.
        """
        return self._read(name, queries.cells)

    def states(self, name: str) -> list[CellState]:
        """Every cell of the study and what became of it, in no order: far cheaper than `cells`."""
        return self._read(name, queries.states)

    def curves(
        self, name: str, cells: Collection[PanelCell] | None = None
    ) -> list[dict[str, Any]]:
        """The curves of all finished cells: panel, seed, alpha, lambda, metric, values [E].

        Args:
            name: of the study.
            cells: only these, by panel and cell; all if None.
        """
        return self._read(name, functools.partial(queries.curves, cells=cells))

    def mechanism(self, name: str) -> list[dict[str, Any]]:
        """What happened inside of all finished cells, as far as it was recorded.

        Rows: panel, seed, alpha, lambda, quantity (of `pairs.meter.MECHANISM`), values [E].
        """
        return self._read(name, queries.mechanism)

    def read_study(self, name: str, query: Callable[[Connection, Study], T]) -> T:
        """Run a query with the study as it is in the very snapshot that the query reads.

        Raises:
            UsageError: there is no study of this name.
            SpecError: what is stored of it is no study.
        """
        return self.database.read(lambda c: query(c, self._stored(c, name)))

    def _read(self, name: str, query: Callable[[Connection, str], T]) -> T:
        """Run a query about a study that must exist."""

        def work(connection: Connection) -> T:
            self._row(connection, name)
            return query(connection, name)

        return self.database.read(work)


@functools.lru_cache(maxsize=64)
def _parsed(spec: str, where: str) -> Study:
    """A stored study, which is looked at again and again."""
    return Study.from_toml(spec, where)


def sealed_row(study: Study, fingerprint: str) -> dict[str, Any]:
    """What is stored of a study, and its seal."""
    spec = study.to_toml()
    seal = study_seal(study.name, spec, fingerprint)
    return {"spec": spec, "fingerprint": fingerprint, "seal": seal}


def _read(connection: Connection) -> tuple[sa.ColumnElement[Any], ...]:
    """What is read of a study."""
    facts = map(raw, (_study.c.name, _study.c.spec, _study.c.fingerprint))
    return (*facts, where_known(connection, _study.c.seal))
