"""Workers that die: at a random statement, by a signal, on a full disk, or with a wrong clock.

They run in processes forked from one that has imported everything, so that a life begins at once.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from landscape_study.study.errors import LeaseLostError, StoreError
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.running.asker import Asker
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Claim, Store, claims
from tests.crashes.ledger import acknowledge, true_outcome

LEASE = 1.0  # seconds


@dataclass(frozen=True)
class Life:
    """How one worker lives and dies.

    Attributes:
        url: of the database.
        seed: of what it does, and when.
        dies_at: before or after which statement or commit it kills itself; None for never.
        behaves: whether it only claims and records; otherwise it does all that workers may do.
        elsewhere: whether it is on another machine, where nobody sees that it died.
        clock: days by which its clock is wrong.
        room: bytes that a file may have in this process; None for any.
        prunes: whether some cells are given up before their end.
    """

    url: str
    study: str
    run_id: int
    ledger: Path
    seed: int
    dies_at: int | None = None
    behaves: bool = False
    elsewhere: bool = False
    clock: float = 0.0
    room: int | None = None
    prunes: bool = False


def live(life: Life) -> None:
    """Train, in no time, until nothing is open or death comes."""
    chance = random.Random(life.seed)
    if life.clock:
        _turn_clock(life.clock)
    if life.room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.room, resource.RLIM_INFINITY))
    with closing(Store(life.url)) as store:
        if life.dies_at is not None:
            _die_at(store, life.dies_at)
        while True:
            worker = Worker()
            if life.elsewhere:
                worker = replace(worker, machine="elsewhere", host="elsewhere")
            claim = store.claim(life.study, worker, life.run_id, lease=LEASE)
            if claim is not None:
                _work(store, claim, life, chance)
            elif Asker(store, life.study, width=8).ask():
                continue
            elif store.is_open(life.study):
                time.sleep(0.02)
                store.release_dead(life.study)
            else:
                return


def grow(life: Life, study: Study) -> None:
    """Create what the study has more than the stored one."""
    with closing(Store(life.url, create=True)) as store:
        if life.dies_at is not None:
            _die_at(store, life.dies_at)
        store.create(study, Identity("crashes"), chunks_of_eight)


def chunks_of_eight(cells: list) -> list[list]:
    return [cells[i : i + 8] for i in range(0, len(cells), 8)]


def _work(store: Store, claim: Claim, life: Life, chance: random.Random) -> None:
    """What a worker may do with what it claimed, mostly to train and record it."""
    act = "record"
    if not life.behaves:
        others = ["release", "halve", "fail", "sleep"]
        act = chance.choices(["record", *others], weights=[80, 6, 3, 3, 8])[0]
    with suppress(LeaseLostError):
        if act == "release":
            store.release(claim)
        elif act == "halve" and len(claim.cells) > 1:
            store.halve(claim)
        elif act == "fail":
            store.fail(claim, "no reason at all")
        else:
            if act == "sleep":
                time.sleep(chance.uniform(0, 1.5 * LEASE))
            _train(store, claim, life)


def _train(store: Store, claim: Claim, life: Life) -> None:
    cells = [(claim.panel, claim.seed, cell.alpha, cell.lambda_) for cell in claim.cells]
    store.beat(claim, lease=LEASE)
    store.record(claim, true_outcome(cells, prunes=life.prunes))
    acknowledge(life.ledger, claim.token, claim.trial_ids)


def _die_at(store: Store, moment: int) -> None:
    """Kill this process at so manieth moment before or after a statement or commit."""
    moments = iter(range(1, moment + 1))

    def pass_moment(*_: object) -> None:
        if next(moments) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = store.database.engine
    sa.event.listen(engine, "before_cursor_execute", pass_moment)
    sa.event.listen(engine, "after_cursor_execute", pass_moment)
    engine.dialect.do_commit = _between(engine.dialect.do_commit, pass_moment)  # type: ignore


def _between(commit: Callable[[object], None], pass_moment: Callable[[], None]):
    def do_commit(connection: object) -> None:
        pass_moment()
        commit(connection)
        pass_moment()

    return do_commit


def _turn_clock(days: float) -> None:
    """Let all that asks for the time in this process get a wrong one."""
    true = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.fromtimestamp(true(), UTC) + timedelta(days=days)

    time.time = lambda: true() + 86400 * days  # type: ignore[assignment]
    claims.datetime = Wrong  # type: ignore[attr-defined, misc]


def is_refused(life: Life) -> str:
    """The message with which the store refuses to go on; empty if it does not."""
    try:
        live(life)
    except StoreError as e:
        return str(e)
    return ""
