"""The plan of a study that is only put into the database: nothing is tried, probed or compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from landscape_study.study.planning.fitting import fitting_data, resolved
from landscape_study.study.planning.layout import CHUNK, REFEREE_CHUNK, panel_chunks
from landscape_study.study.planning.objective_plan import identify_objective
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.task import identify


@dataclass(frozen=True)
class QueuedPlan:
    """What the database must know of a study; its workers decide the rest."""

    study: Study  # resolved: epochs and batch size are numbers
    identity: Identity
    chunk: int  # most cells trained together

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """The cells in as few chunks as possible, all nearly of one size."""
        return panel_chunks(cells, self.chunk)


def plan_queue(study: Study, settings: RunSettings) -> QueuedPlan:
    """Load and check what is to be trained, on a machine that need not be able to train it.

    Raises:
        TaskError: the task cannot be loaded, or is wrong.
    """
    if study.has_objective:
        return QueuedPlan(study, identify_objective(study), chunk=1)
    task = load_task(study.task)
    study = resolved(study, task)
    data = fitting_data(study, task)
    usual = CHUNK["cuda" if settings.device == "cuda" else "cpu"]
    most = REFEREE_CHUNK if settings.engine == "referee" else usual
    return QueuedPlan(study, identify(study.task, task, data), settings.chunk or most)
