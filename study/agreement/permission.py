"""Which engines may train a study's task: tried when it is first asked for, and remembered.

What was found belongs to the task as it is: its data, its source, the options and the versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Protocol

import torch

from landscape_study.study.agreement.finding import Finding, Reference, find
from landscape_study.study.agreement.observation import Subject, excerpt
from landscape_study.study.environment import cache
from landscape_study.study.own_code.source import source_digest
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.task import TaskProtocol
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import ENGINES

STEPS = 120  # and test batches, of about six observations: what a trial takes
GPU_COMPILES_NOT = "a GPU replays recorded graphs instead"

Advance = Callable[[], None]
Watch = Callable[[str, int], AbstractContextManager[Advance]]  # (what, about how many steps)


class Permission(Protocol):
    """Knows which engines may train a task."""

    def finding(self, engine: str, device: str) -> Finding:
        """What is known of the engine on the device."""
        ...


class Believed:
    """Of a built-in task: the tests of this project hold every engine against the referee."""

    def finding(self, engine: str, device: str) -> Finding:
        """All may, where they can."""
        return Finding(_not_compiling(device) if engine == "compiled" else None)


BELIEVED = Believed()


@contextmanager
def no_watch(what: str, steps: int) -> Iterator[Advance]:
    """Nobody looks on."""
    yield lambda: None


class Tried:
    """Of a user's own task: tried when it is first asked for, and remembered.

    Args:
        name: import path of the task.
        data: on the CPU, as the task gives them.
        pairs: that the study trains.
        options: of the study.
        fingerprint: of data and network.
        watch: shows that something is tried, and how far that is.
    """

    def __init__(
        self,
        name: str,
        task: TaskProtocol,
        data: TaskData,
        pairs: Sequence[str],
        options: Options,
        fingerprint: str,
        watch: Watch = no_watch,
    ) -> None:
        self.name, self.task, self.data = name, task, data
        self.pairs, self.options, self.watch = pairs, options, watch
        self.memory = Memory(name, fingerprint, pairs, options)
        self.reference: Reference | None = None

    def finding(self, engine: str, device: str) -> Finding:
        """What the engine was found to do.

        Raises:
            TaskError: a plain loop fails, or does not repeat under one seed.
        """
        if engine == "compiled":  # what the compiler is here is no fact of the task's
            why = _not_compiling(device)
            if why:
                return Finding(why)
        known = self.memory.recall(engine)
        if known is None:
            known = self._find(engine)
            self.memory.keep(engine, known)
        return known

    def _find(self, engine: str) -> Finding:
        what = "a plain loop" if engine == "referee" else f"engine {engine}"
        with self.watch(f"trying {what} on task {self.name}", STEPS) as advance:
            subject = Subject(self.task, excerpt(self.data), advance)
            if self.reference is None:
                self.reference = Reference(subject, self.options)
            return find(engine, subject, self.pairs, self.options, self.reference)


class Memory:
    """What was found before, in a file of its own for each task as it is now."""

    def __init__(
        self, name: str, fingerprint: str, pairs: Sequence[str], options: Options
    ) -> None:
        facts = (
            *(name, fingerprint, source_digest(name), sorted(set(pairs))),
            *(options.model_dump_json(), tuple(ENGINES)),
            *(torch.__version__, torch.backends.cpu.get_cpu_capability()),
            version("landscape-study"),
        )
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self.name = f"{digest}.engines.json"

    def recall(self, engine: str) -> Finding | None:
        """What was found; None if the engine was never tried."""
        try:
            return Finding(**cache.recall(self.name)[engine])
        except (LookupError, TypeError):  # none, or one that another version wrote
            return None

    def keep(self, engine: str, found: Finding) -> None:
        """Remember, beside what is known of others."""
        cache.keep(self.name, cache.recall(self.name) | {engine: asdict(found)})


def _not_compiling(device: str) -> str | None:
    """Why nothing is compiled for the device; None if it can be."""
    return library.why_not() if device == "cpu" else GPU_COMPILES_NOT
