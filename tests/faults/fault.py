"""What a fault is."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.tasks.task import Task
from tests.faults.breaking import Broken
from tests.faults.subjects import READER

ENGINES = ("vmap", "captured")


@dataclass(frozen=True)
class Fault:
    """One way in which an engine may be wrong.

    Attributes:
        broken: makes a context within which engines are.
        task: of which they are then held against the referee.
        engines: which may train that task as long as they are whole, and have such a part.
        interrupted: whether it shows only where a training goes on from a checkpoint.
        shared: whether the referee runs through the same code, and so is broken alike.
    """

    broken: Broken
    task: Task = READER
    engines: tuple[str, ...] = ENGINES
    interrupted: bool = False
    shared: bool = False
