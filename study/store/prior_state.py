"""What a database held of a study before a run: cells, the way they were trained, or nothing."""

from __future__ import annotations

import math
import os
import socket
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from landscape_study.study.errors import MissingStoreError
from landscape_study.study.spec.engine_names import ENGINE_NAMES, engine_name
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.asking import asks_anew
from landscape_study.study.store.queries import CellState

ENDED = ("finished", "pruned", "failed")  # states of cells that nobody trains


def missing_cells(store: str, study: Study) -> dict[str, list[int]]:
    """How many cells a run of `study` would train, by panel, for each seed.

    Args:
        store: a database URL or path.
        study: resolved.

    Raises:
        StudyMismatchError: the database holds a study of this name that differs.
    """
    states: list[CellState] = []
    asked_for: dict[str, float] = {}
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        if study.name in opened.names():
            before = opened.study(study.name)
            study = before.merge(study, opened.name)
            states = opened.states(study.name)
            asked_for |= opened.asked(study.name)
            for name in opened.settled(study.name):
                if not asks_anew(before, study, study.panel(name)):
                    asked_for[name] = math.inf  # nothing more is
    missing = lacking(study, states)
    for panel in study.panels:
        if panel.asked:
            known = set(panel.cells())
            left = int(max(study.askable(panel) - asked_for.get(panel.name, 0), 0))
            left += sum(
                one.cell not in known
                for one in states
                if one.panel == panel.name and one.state not in ENDED
            )
            shared = zip(missing[panel.name], shares(left, len(study.seeds)), strict=True)
            missing[panel.name] = [named + share for named, share in shared]
    return missing


def lacking(study: Study, states: Iterable[CellState]) -> dict[str, list[int]]:
    """How many cells that the study names have not ended, by panel, for each seed.

    Args:
        study: resolved.
        states: of the cells that are there.
    """
    named = {panel.name: set(panel.cells()) for panel in study.panels}
    ended: defaultdict[tuple[str, int], set[Cell]] = defaultdict(set)
    for panel, seed, cell, state, _ in states:
        if state in ENDED and cell in named.get(panel, ()):
            ended[panel, seed].add(cell)
    return {
        panel: [len(cells) - len(ended[panel, seed]) for seed in study.seeds]
        for panel, cells in named.items()
    }


def shares(trainings: int, seeds: int) -> list[int]:
    """So many trainings over the seeds, as evenly as can be."""
    return [len(range(seed, trainings, seeds)) for seed in range(seeds)]


@dataclass(frozen=True)
class Begun:
    """How the last run of a study trained it, which the bits of its results depend on."""

    engine: str
    width: int | None  # cells of a whole chunk; None: an older version did not say
    workers: int
    threads: int | None  # of each worker; None: it was not on this machine


def how_begun(store: str, name: str) -> Begun | None:
    """How the last run of a study went that is not finished: so that it repeats to the bit.

    None where there is no such study or run.
    """
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        if name not in opened.names() or not opened.is_open(name):
            return None
        runs = [run["provenance"] for run in opened.runs(name)]
        return _begun(runs[-1]) if runs else None
    return None


def _begun(facts: dict[str, Any]) -> Begun | None:
    """What a run's provenance says; None where an older version did not say, or it was changed."""
    is_here = (facts.get("host"), facts.get("cpus")) == (socket.gethostname(), os.cpu_count())
    engine, devices, width = facts.get("engine"), facts.get("devices"), facts.get("width")
    threads = facts.get("threads") if is_here else None
    counts = [count for count in (width, threads) if count is not None]
    if not isinstance(engine, str) or engine_name(engine) not in ENGINE_NAMES:
        return None
    if not isinstance(devices, list) or not all(type(count) is int for count in counts):
        return None
    return Begun(engine, width, len(devices), threads)


def holds(store: str, name: str) -> bool:
    """Whether there is a database that holds a study of this name."""
    with suppress(MissingStoreError), closing(Store(store)) as opened:
        return name in opened.names()
    return False
