"""Engines held against the referee, in tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from landscape_study.study.agreement.finding import Finding, Reference, find
from landscape_study.study.agreement.observation import Subject, excerpt
from landscape_study.study.pairs.options import Options
from landscape_study.study.tasks.refusals import check_task
from landscape_study.study.tasks.task import Task
from tests.study.chunks import DOUBLE


def tried(
    task: Task, *engines: str, options: Options = DOUBLE, pairs: Sequence[str] = ("sgd", "adamw")
) -> dict[str, Finding]:
    """What is found of each engine, as before a study of the task."""
    data = check_task(task, [(task.batch_size, 1)], getattr(torch, options.precision))
    subject = Subject(task, excerpt(data))
    reference = Reference(subject, options)
    return {engine: find(engine, subject, pairs, options, reference) for engine in engines}


def why_not(engine: str, task: Task, options: Options = DOUBLE) -> str | None:
    """Why the engine must not train the task; None if it may."""
    return tried(task, engine, options=options)[engine].why_not
