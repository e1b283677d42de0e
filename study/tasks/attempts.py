"""Calling what a task gives, and saying of it what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from landscape_study.study.errors import LandscapeError, TaskError
from landscape_study.study.tasks.task import TaskProtocol

T = TypeVar("T")


def attempt(task: TaskProtocol, label: str, call: Callable[[], T]) -> T:
    """What the call gives.

    Raises:
        TaskError: it fails; `label` says what was called.
    """
    try:
        return call()
    except LandscapeError:
        raise  # it says itself what is wrong: data that are not there
    except (Exception, SystemExit) as e:  # whatever the user's code raises
        raise TaskError(f"task '{task.name}': {label} failed: {type(e).__name__}: {e}") from e


def wrong(task: TaskProtocol, label: str, found: str, expected: str) -> str:
    """The message of something that gave what it should not."""
    return f"task '{task.name}': {label} gave {found}; expected {expected}"


def shape_of(value: object) -> str:
    """What a user's function gave, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return type(value).__name__
