"""Which engine and layout train a study fastest here: measured in short probes, and remembered.

What is remembered belongs to one task, batch size, chunk size, machine and version of PyTorch;
deleting the folder `environment.cache.cache_folder` forgets it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np
import torch

from landscape_study.study.environment import cache
from landscape_study.study.errors import UsageError, first_line
from landscape_study.study.planning.cost import (
    Pace,
    Probe,
    Setting,
    cell_bytes,
    measure,
    measure_by_growing,
)
from landscape_study.study.training.engines import ENGINES

SHORT = 10.0  # seconds of training below which nothing is worth probing further
LONGER = 60.0  # from which other layouts are worth a look
WORTH_COMPILING = 5.0  # from which compiling is worth its seconds
LARGE = 2000  # steps of a cell: as long, besides, it takes to try what is traced, of any network
COMPILED = 1e-3  # relative difference of losses after a probe that is no rounding
COMPARED = 16  # cells that a wrong engine trains to see what its being wrong costs
COMPARED_SECONDS = 1.0  # that a step of as many may take in a plain loop


@dataclass(frozen=True)
class Choice:
    """How cells are trained."""

    engine: str
    width: int  # cells of a whole chunk
    pace: Pace | None = None  # None: not measured
    why: str = ""  # why no better engine is used
    slower: float | None = None  # times as long as that engine would take; None: not known


@dataclass(frozen=True)
class Share:
    """What one worker has to train, under one layout of the work."""

    setting: Setting
    width: int  # cells of a whole chunk
    cell_epochs: float  # epochs times cells, of the worker that has most
    room: int  # bytes of memory that its chunk may take


def choose(
    shares: Sequence[Share],
    fingerprint: str,
    tell: Callable[[str], None] = lambda message: None,
) -> tuple[int, Choice]:
    """Which layout trains soonest, by its place in `shares`, and with which engine.

    The first layout is taken unless so much is to be trained that looking at others pays.

    Args:
        shares: of the same study, under different layouts.
        fingerprint: of the task's data and network.
        tell: called with a word when something takes longer.
    """
    if shares[0].cell_epochs == 0:
        return 0, Choice("vmap", shares[0].width)
    trials = [_Trial(share, fingerprint) for share in shares]
    first, *others = trials
    first.probe(tell)
    if first.is_whole() and first.seconds() >= LONGER:
        for trial in others:
            trial.probe_like(first, tell)
    best = min((trial for trial in trials if trial.probes), key=_Trial.seconds)
    return trials.index(best), best.choice()


def given(setting: Setting, engine: str, width: int) -> Choice:
    """The engine that the user asks for.

    Raises:
        UsageError: it cannot do the task's network.
    """
    why = setting.why_not(engine)
    if why is not None:
        raise UsageError(
            f"--engine {engine}: it does not train task '{setting.study.task}' as a plain loop "
            f"does: {why}: leave the choice to the tool, or take --engine referee"
        )
    return Choice(engine, width)


def pace(setting: Setting, choice: Choice) -> Pace:
    """Of the choice, measured now if it was not."""
    if choice.pace is not None:
        return choice.pace
    if ENGINES[choice.engine].traced:
        return measure(setting, choice.engine, choice.width, setting.batch_size).pace
    return measure_by_growing(setting, choice.engine, choice.width).pace


def on_gpu(setting: Setting, width: int) -> Choice:
    """The best engine that can do the network; not measured."""
    why = setting.why_not("vmap")
    if why is not None:
        return Choice("referee", width, None, f"engine vmap: {why}")
    why = setting.why_not("captured")
    if why is not None:
        return Choice("vmap", width, None, f"engine captured: {why}")
    return Choice("captured", width)


class _Trial:
    """What is known of one share, and how to know more.

    A pace is remembered, a permission is not: memory, compiler or the task's code may be others
    than when it was measured.

    Attributes:
        probes: of the engines that were measured and may be used.
        why: why no better engine is among them.
    """

    def __init__(self, share: Share, fingerprint: str) -> None:
        self.share, self.setting = share, share.setting
        self.memory = Memory(share.setting, share.width, fingerprint)
        self.probes = self.memory.recall()
        self.why = ""
        if self.probes and self.setting.why_not(self.best.engine):
            self.probes = ()  # the task's code is no longer what was measured
        if self.probes and not self._has_room():
            self.probes = tuple(p for p in self.probes if p.engine != "captured")

    @property
    def best(self) -> Probe:
        """Of the fastest engine that was measured."""
        return min(self.probes, key=lambda probe: probe.pace.step)

    def choice(self) -> Choice:
        """Of the fastest engine."""
        engine, width = self.best.engine, self.share.width
        why = "" if engine == "compiled" else self.why
        slower = self._slower() if why and engine == "referee" else None
        return Choice(engine, width, self.best.pace, why, slower)

    def _slower(self) -> float | None:
        """How many times as long a plain loop takes as what is wrong, if that runs at all."""
        cells, pace = min(self.share.width, COMPARED), self.best.pace
        if cells * pace.step > COMPARED_SECONDS:
            return None
        try:
            wrong = measure(self.setting, "vmap", cells, self.best.examples)
        except Exception:  # vmap raises many kinds
            return None
        return pace.step / wrong.pace.step

    def seconds(self) -> float:
        """That the training takes with the fastest engine."""
        return self.share.cell_epochs * self.best.pace.epoch(self.setting)

    def is_whole(self) -> bool:
        """Whether a whole chunk could be measured: networks that allow none gain little by any."""
        whole = (self.share.width, self.setting.batch_size)
        return any((probe.cells, probe.examples) == whole for probe in self.probes)

    def probe(self, tell: Callable[[str], None]) -> None:
        """Measure what the training is long enough to gain by, what is likely the best first."""
        self._probe_first()
        is_known = bool(self.setting.programs.libraries)
        trying = LARGE * self.best.pace.step
        if self._is_small() and (is_known or self.seconds() >= WORTH_COMPILING + trying):
            self._probe_compiled(tell if not is_known else lambda message: None)
        if self.seconds() < SHORT + trying:
            return
        if self._measured("vmap") and not self._measured("compiled"):
            self._probe_others()

    def probe_like(self, other: _Trial, tell: Callable[[str], None]) -> None:
        """Measure what is best under another layout, or all where that is not compiled."""
        if other.best.engine != "compiled":
            self.probe(tell)
        elif not self._measured("compiled"):
            self._keep(self._measure_compiled())

    def _is_small(self) -> bool:
        """Whether a whole chunk was measured, or a whole batch where chunks are no option."""
        probe = self.probes[0]
        return self.is_whole() or (
            probe.engine == "referee" and probe.examples == self.setting.batch_size
        )

    def _probe_compiled(self, tell: Callable[[str], None]) -> None:
        if self._measured("compiled"):
            return
        if why := self.setting.why_not("compiled"):
            self.why = f"engine compiled: {why}"
            return
        tell("compiling the training step for this machine, once: some seconds")
        try:
            probe = self._measure_compiled()
        except Exception as e:  # a compiler fails in its own ways; the others are fast enough
            self.why = f"compiling failed: {first_line(e)}"
            return
        if self._is_like(self.probes[0], probe):
            self._keep(probe)
        else:
            known = self.probes[0].engine
            self.why = f"engine compiled: its losses are not those of engine {known}"

    def _measure_compiled(self) -> Probe:
        return measure(self.setting, "compiled", self.share.width, self.setting.batch_size)

    def _is_like(self, known: Probe, probe: Probe) -> bool:
        """Whether most of the cells that both trained have the same losses.

        Some may be as unstable as to show how an engine rounds.
        """
        count = min(len(known.losses), len(probe.losses))
        if known.examples != probe.examples or not count:
            return True  # measured on other batches
        ours, theirs = np.array(probe.losses[:count]), np.array(known.losses[:count])
        return bool(np.mean(np.isclose(ours, theirs, rtol=COMPILED, equal_nan=True)) > 0.5)

    def _probe_first(self) -> None:
        if self._measured("vmap"):
            return
        why = self.setting.why_not("vmap")
        if why is None:
            self._keep(measure_by_growing(self.setting, "vmap", self.share.width))
            return
        if not self._measured("referee"):
            self._keep(measure_by_growing(self.setting, "referee", 1))
        self.why = f"engine vmap: {why}"

    def _probe_others(self) -> None:
        width, examples = self.share.width, self.probes[0].examples
        if not self._measured("referee"):
            self._keep(measure(self.setting, "referee", 1, examples))
        if not self.is_whole():
            return  # too large a network for what is traced to pay
        if not self._has_room():
            self.why = "traced, a chunk would not fit into memory"
        elif self._measured("captured"):
            return
        elif why := self.setting.why_not("captured"):
            self.why = f"engine captured: {why}"
        else:
            self._keep(measure(self.setting, "captured", width, examples))

    def _measured(self, engine: str) -> bool:
        return any(probe.engine == engine for probe in self.probes)

    def _has_room(self) -> bool:
        """Whether a chunk fits into memory when it is captured."""
        return self.share.width * cell_bytes(self.setting, traced=True) <= self.share.room

    def _keep(self, probe: Probe) -> None:
        self.probes = (*self.probes, probe)
        self.memory.keep(self.probes)


class Memory:
    """What was measured before, in a file of its own for each setting."""

    def __init__(self, setting: Setting, width: int, fingerprint: str) -> None:
        facts = (
            *(
                setting.study.task,
                fingerprint,
                setting.batch_size,
                width,
                setting.threads,
                setting.device,
            ),
            *(setting.study.options.model_dump_json(), tuple(ENGINES)),
            *(torch.__version__, torch.backends.cpu.get_cpu_capability(), platform.platform()),
            *(platform.processor(), os.cpu_count(), version("landscape-study")),
        )
        self.name = f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}.json"

    def recall(self) -> tuple[Probe, ...]:
        """What was measured; nothing if it never was."""
        try:
            return tuple(
                Probe(**{**probe, "pace": Pace(**probe["pace"]), "losses": tuple(probe["losses"])})
                for probe in cache.recall(self.name).get("probes", ())
            )
        except (LookupError, TypeError):  # another version wrote it
            return ()

    def keep(self, probes: Sequence[Probe]) -> None:
        """Remember."""
        cache.keep(self.name, {"probes": [asdict(probe) for probe in probes]})
