"""The plan of a study that has an objective: slots, and what the objective is known by."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib

from landscape_study.study.errors import UsageError
from landscape_study.study.objectives.objective import (
    identify_function,
    load_function,
    pickled_function,
)
from landscape_study.study.planning.layout import Layout, choose_devices
from landscape_study.study.planning.plan import Plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.placeholders import SCRIPTS
from landscape_study.study.spec.study import COMMAND, FUNCTION, Cell, Study

LARGEST_SOURCE = 16 * 1024**2  # bytes of a file that is looked at
SOURCES = (  # what a run may write, as .csv or .log, is none
    *SCRIPTS,
    *(".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".conf", ".gin"),
)


@dataclass(frozen=True)
class ObjectivePlan:
    """All that is decided before a study's objective runs; read like a `planning.plan.Plan`."""

    study: Study
    identity: Identity  # of the command and the files that it names, or of the function
    layout: Layout
    function: bytes | None = None  # pickled, where workers could not import it

    @property
    def engine(self) -> str:
        """What trains a cell."""
        return FUNCTION if self.study.function else COMMAND

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """Each cell by itself."""
        return [[cell] for cell in cells]


AnyPlan = Plan | ObjectivePlan


def plan_objective(study: Study, settings: RunSettings) -> ObjectivePlan:
    """Check that the objective can be called, and decide how many runs there are at a time.

    Raises:
        UsageError: there is no such program or function, or an option that objectives do not
            have.
    """
    for option in ("chunk", "engine"):
        if getattr(settings, option) is not None:
            kind = FUNCTION if study.function else COMMAND
            raise UsageError(
                f"--{option}: study '{study.name}' has a {kind} of your own: leave it out"
            )
    function: bytes | None = None
    if study.function:
        load_function(study.task)  # or say what is wrong with it, before anything is begun
        function = pickled_function(study.task)
    elif settings.dask is None:
        _require_program(study)
    if settings.dask is not None:  # on machines of their own
        devices: tuple[str, ...] = (settings.device,) * (settings.workers or 1)
        threads = 1
    else:
        devices = choose_devices(settings.device, settings.workers, per_gpu=settings.per_gpu)
        threads = max(1, joblib.cpu_count() // len(devices))
    layout = Layout(devices, threads, chunk=1)
    return ObjectivePlan(study, identify_objective(study), layout, function)


def _require_program(study: Study) -> None:
    """Check that there is the program of a command.

    Raises:
        UsageError: there is none.
    """
    program = (study.command or ("",))[0]
    if shutil.which(program) is None:
        raise UsageError(
            f"study '{study.name}': there is no program '{program}' here: name one that is on the "
            "PATH, or its path"
        )


def identify_objective(study: Study) -> Identity:
    """What a study's objective is known by: of a function, its source.

    Of a command its words, and what source and settings among these hold.
    """
    if study.function:
        return identify_function(study.task)
    words = study.command or ()
    digest = hashlib.sha256()
    for word in words:
        path = Path(word)
        if (
            path.suffix.lower() in SOURCES
            and path.is_file()
            and path.stat().st_size <= LARGEST_SOURCE
        ):
            digest.update(path.read_bytes())
    return Identity(hashlib.sha256(repr(words).encode()).hexdigest()[:16], digest.hexdigest()[:16])
