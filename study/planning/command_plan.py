"""The plan of a study that runs a command: slots, and what the command is known by."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib

from landscape_study.study.errors import UsageError
from landscape_study.study.planning.layout import Layout, choose_devices
from landscape_study.study.planning.plan import Plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.training.engines.base import Libraries

LARGEST_SOURCE = 16 * 1024**2  # bytes of a file that is looked at
SOURCES = (  # what a run may write, as .csv or .log, is none
    *(".py", ".ipynb", ".sh", ".bash", ".r", ".jl", ".m", ".js", ".ts", ".lua", ".pl", ".rb"),
    *(".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".conf", ".gin"),
)


@dataclass(frozen=True)
class CommandPlan:
    """All that is decided before a study's commands run; read like a `planning.plan.Plan`."""

    study: Study
    identity: Identity  # of the command and the files that it names
    layout: Layout

    engine = "command"
    width = 1
    loading = 0.0
    no_checkpoint = "a command keeps its own"

    def libraries(self) -> Libraries:
        """Nothing is compiled."""
        return {}

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """Each cell by itself."""
        return [[cell] for cell in cells]


AnyPlan = Plan | CommandPlan


def plan_command(study: Study, settings: RunSettings) -> CommandPlan:
    """Check that the command can be called, and decide how many run at a time.

    Raises:
        UsageError: there is no such program, or an option that commands do not have.
    """
    for option in ("chunk", "engine"):
        if getattr(settings, option) is not None:
            raise UsageError(f"--{option}: study '{study.name}' runs a command: leave it out")
    program = (study.command or ("",))[0]
    if settings.dask is None and shutil.which(program) is None:
        raise UsageError(
            f"study '{study.name}': there is no program '{program}' here: name one that is on the "
            "PATH, or its path"
        )
    if settings.dask is not None:  # on machines of their own
        devices: tuple[str, ...] = (settings.device,) * (settings.workers or 1)
        threads = 1
    else:
        devices = choose_devices(settings.device, settings.workers, per_gpu=settings.per_gpu)
        threads = max(1, joblib.cpu_count() // len(devices))
    return CommandPlan(study, command_identity(study), Layout(devices, threads, chunk=1))


def command_identity(study: Study, folder: Path = Path()) -> Identity:
    """The command by its words, and what source and settings among them hold, seen from a folder."""
    words = study.command or ()
    digest = hashlib.sha256()
    for word in words:
        path = folder / word
        if (
            path.suffix.lower() in SOURCES
            and path.is_file()
            and path.stat().st_size <= LARGEST_SOURCE
        ):
            digest.update(path.read_bytes())
    return Identity(hashlib.sha256(repr(words).encode()).hexdigest()[:16], digest.hexdigest()[:16])
