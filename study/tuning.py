"""Which engine trains a study fastest here: measured in short probes, and remembered.

What is remembered belongs to one task, batch size, chunk size, machine and version of PyTorch;
deleting the folder `study.engines.native.cache_folder` forgets it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from study.cost import Pace, Probe, Setting, cell_bytes, measure, measure_by_growing
from study.engines import ENGINES
from study.engines.check import why_not
from study.engines.native import cache_folder
from study.errors import UsageError

# Seconds of training below which nothing is worth probing further, and compiling not worth it.
SHORT, WORTH_COMPILING = 10.0, 60.0


@dataclass(frozen=True)
class Choice:
    """How cells are trained."""

    engine: str
    width: int  # cells of a whole chunk
    pace: Pace | None = None  # None: not measured
    why: str = ""  # why no better engine is used


def choose(
    setting: Setting,
    width: int,
    cell_epochs: float,
    room: int,
    fingerprint: str,
    tell: Callable[[str], None] = lambda message: None,
) -> Choice:
    """The engine that trains so many epochs of cells soonest, each worker doing its share.

    Args:
        setting: task and device.
        width: cells of a whole chunk.
        cell_epochs: epochs times cells of one worker.
        room: bytes of memory that a worker's chunk may take.
        fingerprint: of the task's data and network.
        tell: called with a word when something takes longer.
    """
    if cell_epochs == 0:
        return Choice("vmap", width)
    memory = Memory(setting, width, fingerprint)
    known = memory.recall()
    if known is None or _is_worth_compiling(setting, known, cell_epochs):
        known = _measure_engines(setting, width, cell_epochs, room, tell)
        memory.keep(known)
    best = _fastest(known.probes)
    return Choice(best.engine, width, best.pace, known.why)


def given(setting: Setting, engine: str, width: int) -> Choice:
    """The engine that the user asks for.

    Raises:
        UsageError: it cannot do the task's network.
    """
    why = why_not(engine, *setting.network, setting.device)
    if why is not None:
        raise UsageError(
            f"--engine {engine}: it cannot train task '{setting.study.task}' here: {why}: leave "
            "the choice to the tool, or take --engine one-by-one"
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
    why = why_not("vmap", *setting.network)
    if why is not None:
        return Choice("one-by-one", width, None, why)
    why = why_not("captured", *setting.network)
    return Choice("captured" if why is None else "vmap", width, None, why or "")


@dataclass(frozen=True)
class Known:
    """What was measured of a setting."""

    probes: tuple[Probe, ...]
    why: str  # why the engines that are missing are missing
    final: bool  # whether no longer training would be worth another look


def _measure_engines(
    setting: Setting, width: int, cell_epochs: float, room: int, tell: Callable[[str], None]
) -> Known:
    """Probe one engine after the other, as far as the training is long enough to gain by it."""
    why = why_not("vmap", *setting.network)
    if why is not None:
        return Known((measure_by_growing(setting, "one-by-one", 1),), why, final=True)
    first = measure_by_growing(setting, "vmap", width)
    known = Known((first,), "", final=False)
    if _seconds(setting, known, cell_epochs) < SHORT:
        return known
    known = _add(known, measure(setting, "one-by-one", 1, first.examples))
    if (first.cells, first.examples) != (width, setting.batch_size):
        return replace(known, final=True)  # too large a network for what is traced to pay
    why = why_not("captured", *setting.network)
    if width * cell_bytes(setting, traced=True) > room:
        why = "traced, a chunk would not fit into memory"
    if why is not None:
        return replace(known, why=why, final=True)
    known = _add(known, measure(setting, "captured", first.cells, first.examples))
    if _seconds(setting, known, cell_epochs) < WORTH_COMPILING:
        return known
    why = why_not("compiled", *setting.network)
    if why is not None:
        return replace(known, why=why, final=True)
    tell("compiling the training step for this machine, once: about half a minute")
    return replace(_add(known, measure(setting, "compiled", width, first.examples)), final=True)


def _is_worth_compiling(setting: Setting, known: Known, cell_epochs: float) -> bool:
    """Whether so much is to be trained that engines not measured yet might gain by it."""
    limit = SHORT if len(known.probes) == 1 else WORTH_COMPILING
    return not known.final and _seconds(setting, known, cell_epochs) >= limit


def _add(known: Known, probe: Probe) -> Known:
    return replace(known, probes=(*known.probes, probe))


def _fastest(probes: Iterable[Probe]) -> Probe:
    return min(probes, key=lambda probe: probe.pace.step)


def _seconds(setting: Setting, known: Known, cell_epochs: float) -> float:
    return cell_epochs * _fastest(known.probes).pace.epoch(setting)


class Memory:
    """What was measured before, in a file of its own for each setting."""

    def __init__(self, setting: Setting, width: int, fingerprint: str) -> None:
        facts = (
            *(fingerprint, setting.batch_size, width, setting.threads, setting.device),
            *(setting.study.options.model_dump_json(), tuple(ENGINES)),
            *(torch.__version__, torch.backends.cpu.get_cpu_capability(), platform.platform()),
            *(platform.processor(), os.cpu_count(), version("landscape-study")),
        )
        name = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self.path: Path = cache_folder() / f"{name}.json"

    def recall(self) -> Known | None:
        """What was measured, or None: never, or the file is damaged."""
        try:
            facts = json.loads(self.path.read_text("utf-8"))
            probes = tuple(Probe(**{**p, "pace": Pace(**p["pace"])}) for p in facts["probes"])
            return Known(probes, facts["why"], facts["final"]) if probes else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, known: Known) -> None:
        """Remember; several runs at once may do so."""
        unfinished = self.path.with_suffix(f".{os.getpid()}.json")
        unfinished.write_text(json.dumps(asdict(known)), encoding="utf-8")
        unfinished.replace(self.path)
