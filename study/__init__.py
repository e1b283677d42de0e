"""What trains: studies of (α, λ) cells for optimizer/regularization pairs, into a database.

`landscapes` and the commands import it; it imports neither. Its names for notebooks are found when
they are first used: torch is slow to import.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from landscape_study.study.errors import LandscapeError
    from landscape_study.study.objectives.objective import objective
    from landscape_study.study.pairs.rule import Rule
    from landscape_study.study.pairs.translation import rescale, translate
    from landscape_study.study.planning.settings import RunSettings
    from landscape_study.study.spec.grid import Axis, Grid
    from landscape_study.study.spec.metric import Metric
    from landscape_study.study.spec.study import Panel, Study
    from landscape_study.study.store import Store
    from landscape_study.study.study_calls import (
        check,
        data,
        merge,
        resume,
        run,
        status,
        worker,
    )
    from landscape_study.study.tasks.data.streams import Streams
    from landscape_study.study.tasks.data.tensors import Data
    from landscape_study.study.tasks.measures import Measure
    from landscape_study.study.tasks.task import Task
    from landscape_study.study.tasks.task_from import task_from

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "study_calls": ["check", "data", "merge", "resume", "run", "status", "worker"],
        "errors": ["LandscapeError"],
        "objectives.objective": ["objective"],
        "pairs.rule": ["Rule"],
        "pairs.translation": ["rescale", "translate"],
        "planning.settings": ["RunSettings"],
        "spec.grid": ["Axis", "Grid"],
        "spec.metric": ["Metric"],
        "spec.study": ["Panel", "Study"],
        "store": ["Store"],
        "tasks.measures": ["Measure"],
        "tasks.data.streams": ["Streams"],
        "tasks.data.tensors": ["Data"],
        "tasks.task": ["Task"],
        "tasks.task_from": ["task_from"],
    },
)

__all__ = [
    "Axis",
    "Data",
    "Grid",
    "LandscapeError",
    "Measure",
    "Metric",
    "Panel",
    "Rule",
    "RunSettings",
    "Store",
    "Streams",
    "Study",
    "Task",
    "check",
    "data",
    "merge",
    "objective",
    "rescale",
    "resume",
    "run",
    "status",
    "task_from",
    "translate",
    "worker",
]
