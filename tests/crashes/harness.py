"""Keeps victims at work on one study, and kills them, until every cell is finished."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Axis, Grid, Panel, Study
from landscape_study.study.store import Store
from tests.crashes.ledger import EPOCHS, Counts, audit
from tests.crashes.victims import LEASE, Life, chunks_of_eight, grow, live

CONTEXT = get_context("forkserver")
PRELOADED = ["tests.crashes.victims"]
MOMENTS = 60  # among the first so many a victim kills itself
LIMIT = 900  # seconds after which a study that is not finished is stuck


def make_study(
    cells: int, seeds: int = 1, name: str = "crashes", sampler: str | None = None
) -> Study:
    """A study of two panels with so many cells altogether in each seed.

    Where a sampler asks for them, some are given up as hopeless.
    """
    alphas = Axis(values=(0.1, 0.2, 0.4, 0.8))
    lambdas = Axis(values=tuple(0.001 * (k + 1) for k in range(cells // 8)))
    grid = Grid(alpha=alphas, lambda_=lambdas)
    panels = tuple(Panel(name=p, pair=p, epochs=EPOCHS, grid=grid) for p in ("sgd", "adamw"))
    study = Study(name=name, task="digits", seeds=seeds, batch_size=50, panels=panels)
    if sampler is None:
        return study
    design = {"sampler": sampler, "trials": seeds * cells // 2}
    return study.change_panels(design=design, prune="median")


@dataclass(frozen=True)
class Report:
    """What a siege did, and what the ledger found after it."""

    counts: Counts
    kills: Counter[str]  # by the way of dying
    cells: int
    stops: int  # workers that were stopped past their lease, then let go on
    retried: int  # cells that were given up and tried again
    seconds: float


@dataclass
class Siege:
    """Victims at work on one study in one database.

    Attributes:
        url: of an empty database.
        folder: for the ledger.
        kills: how many to kill before the rest may finish.
        workers: how many at once.
        disturb: called now and then, to stop a server, say.
        sampler: who asks for the cells; None for a grid.
    """

    url: str
    folder: Path
    kills: int
    seed: int = 0
    workers: int = 4
    cells: int = 96
    disturb: Callable[[], None] = lambda: None
    sampler: str | None = None

    def __post_init__(self) -> None:
        CONTEXT.set_forkserver_preload(PRELOADED)
        self.chance = random.Random(self.seed)
        self.ledger = self.folder / "ledger"
        self.died: Counter[str] = Counter()
        self.living: dict[BaseProcess, str] = {}
        self.stopped: dict[BaseProcess, float] = {}
        self.study = self._study(1)
        self.retried = self.stops = 0

    def __call__(self) -> Report:
        """Besiege, let what is left be finished in peace, and look into the ledger."""
        started = time.monotonic()
        with closing(Store(self.url, create=True)) as store:
            store.create(self.study, Identity("crashes"), chunks_of_eight)
            run_id = store.start_run(self.study.name, {})
            self.life = Life(
                self.url,
                self.study.name,
                run_id,
                self.ledger,
                self.seed,
                prunes=self.sampler is not None,
            )
            while sum(self.died.values()) < self.kills:
                if not store.is_open(self.study.name):
                    self._give_more(store)
                self._go_on()
            self._make_peace()
            while store.is_open(self.study.name) or self._retry(store):
                if time.monotonic() - started > LIMIT:
                    break
                self._go_on(peace=True)
        self._end()
        counts = audit(self.url, self.study, self.ledger)
        cells = self.cells * len(self.study.seeds)
        seconds = time.monotonic() - started
        return Report(counts, self.died, cells, self.stops, self.retried, seconds)

    def _study(self, seeds: int) -> Study:
        return make_study(self.cells, seeds, sampler=self.sampler)

    def _give_more(self, store: Store) -> None:
        """Grow the study by a seed, which several try at once, some of whom die over it."""
        self._wake_all()
        if self._retry(store):
            return
        self.study = self._study(len(self.study.seeds) + 1)
        lives = [replace(self.life, dies_at=self._moment()) for _ in range(2)]
        processes = [CONTEXT.Process(target=grow, args=(life, self.study)) for life in lives]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            self.died["while creating"] += process.exitcode == -signal.SIGKILL
        store.create(self.study, Identity("crashes"), chunks_of_eight)

    def _retry(self, store: Store) -> int:
        """Open what was given up again; how many cells."""
        again = store.retry_failed(self.study.name)
        self.retried += again
        return again

    def _go_on(self, *, peace: bool = False) -> None:
        """Let the living work for a moment, kill some, bury the dead, and replace them."""
        time.sleep(self.chance.uniform(0, 0.05))
        if not peace:
            self.disturb()
            self._strike()
        self._wake()
        for process in [p for p in self.living if p.exitcode is not None]:
            way = self.living.pop(process)
            self.stopped.pop(process, None)
            if process.exitcode == -signal.SIGKILL:
                self.died[way] += 1
            elif process.exitcode != 0:
                raise AssertionError(f"a worker ended with {process.exitcode}: see above")
        while len(self.living) < self.workers:
            self._start(peace=peace)

    def _start(self, *, peace: bool) -> None:
        life = replace(self.life, seed=self.chance.randrange(2**32), behaves=peace)
        if not peace:
            life = replace(
                life,
                dies_at=self._moment() if self.chance.random() < 0.7 else None,
                elsewhere=self.chance.random() < 0.3,
                clock=self.chance.choice([0.0, 0.0, 0.0, -3.0, 400.0]),
            )
        process = CONTEXT.Process(target=live, args=(life,), daemon=True)
        process.start()
        self.living[process] = "at a statement or commit"

    def _moment(self) -> int:
        return self.chance.randrange(1, MOMENTS)

    def _strike(self) -> None:
        """Kill or stop one of the living, whatever it is doing."""
        victim = self.chance.choice([None, *self.living])
        if victim is None or victim in self.stopped or victim.exitcode is not None:
            return
        fate = self.chance.choices(["live", "kill", "stop"], weights=[75, 20, 5])[0]
        if fate == "kill":
            self.living[victim] = "at a random moment"
            _signal(victim, signal.SIGKILL)
        elif fate == "stop":
            self.stopped[victim] = time.monotonic() + self.chance.uniform(1, 2) * LEASE
            _signal(victim, signal.SIGSTOP)

    def _wake(self) -> None:
        """Let those go on who were stopped for long enough: past their lease."""
        for victim in [v for v, until in self.stopped.items() if until < time.monotonic()]:
            del self.stopped[victim]
            self.stops += 1
            _signal(victim, signal.SIGCONT)

    def _wake_all(self) -> None:
        """Let nobody sleep on the database's lock while this process needs it."""
        for victim in self.stopped:
            _signal(victim, signal.SIGCONT)
        self.stopped.clear()

    def _make_peace(self) -> None:
        """The besiegers leave, with all that are still meant to die."""
        for victim in self.living:
            _signal(victim, signal.SIGKILL)
            victim.join()
        self.living.clear()
        self.stopped.clear()

    def _end(self) -> None:
        for process in self.living:
            process.join(60)


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid  # 0 would be this process with all that it started
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def report_lines(report: Report) -> Iterator[str]:
    """What happened, and what the ledger says of it."""
    yield f"{report.cells} cells in {report.seconds:.0f} s, {report.retried} of them tried again"
    for way, number in sorted(report.kills.items()):
        yield f"  killed {way}: {number}"
    yield f"  stopped past the lease, and woken: {report.stops}"
    yield "  " + ", ".join(f"{name} {count}" for name, count in vars(report.counts).items())
