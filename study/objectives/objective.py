"""Functions of the user's own that train one cell: how they are marked, checked and found."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from landscape_study.study.errors import TaskError
from landscape_study.study.own_code.loading import (
    MARK,
    hand_over,
    handed_over,
    in_this_folder,
    is_marked,
    is_user_task,
    load_own,
)
from landscape_study.study.own_code.source import function_digest, source_digest
from landscape_study.study.records.identity import Identity

EXPECTED = "def train(cell, run), which trains one cell and returns its metric"

KIND = "function"  # the fingerprint of all of them: what they compute only their source tells

Function = TypeVar("Function", bound=Callable[..., Any])


def objective(function: Function) -> Function:
    """Mark a function that trains one cell, so that `landscape run --task` takes it for one.

    It is called as `function(cell, run)` in a process of its own. `cell` has `alpha`, `lambda_`,
    `seed`, `pair` and `panel`; for `run` see `objectives.function_run.FunctionRun`. It returns
    the metric, or a dict with it and other numbers.

    Raises:
        TaskError: it cannot be called like that.

    >>> @objective
    ... def train(cell, run):
    ...     return (cell.alpha - 0.1) ** 2 + cell.lambda_
    """
    require_function(function)
    try:
        setattr(function, MARK, True)
    except AttributeError as e:
        raise TaskError(f"{_named(function)} cannot be marked: write {EXPECTED}") from e
    return function


@in_this_folder()
def is_objective(name: str) -> bool:
    """Whether what has this name is a function that trains one cell.

    Raises:
        TaskError: there is nothing of this name.
    """
    if not is_user_task(name):
        return False
    return handed_over(name) is not None or is_marked(load_own(name))


def named(task: str | Callable[..., Any] | None) -> str | None:
    """The name of a task, of which a function may be handed over itself.

    Raises:
        TaskError: it cannot be called with a cell and a run.
    """
    if task is None or isinstance(task, str):
        return task
    require_function(task)
    return hand_over(task)


def load_function(name: str) -> Callable[..., Any]:
    """The function of this name, marked or not.

    Raises:
        TaskError: there is none, or it cannot be called with a cell and a run.
    """
    function: Callable[..., Any] = load_own(name)
    require_function(function)
    return function


def identify_function(name: str) -> Identity:
    """What the function of this name is known by: its source. It is not imported for that."""
    function = handed_over(name)
    return Identity(KIND, source_digest(name) if function is None else function_digest(function))


def pickled_function(name: str) -> bytes | None:
    """What a process that cannot import the function needs; None if it can.

    Raises:
        TaskError: the function holds what no other process can have.
    """
    function = handed_over(name)
    if function is None:
        return None
    import cloudpickle  # not where only `objective` is wanted

    try:
        pickled: bytes = cloudpickle.dumps(function)
    except Exception as e:  # objects refuse in their own ways
        raise TaskError(
            f"'{name}' cannot be sent to a process of its own ({type(e).__name__}: {e}): make "
            "within it what it uses, or write it into a file"
        ) from e
    return pickled


def require_function(function: object) -> None:
    """Check that something can be called with a cell and a run.

    Raises:
        TaskError: saying what is expected.
    """
    if not callable(function) or isinstance(function, type):
        raise TaskError(f"{_named(function)} is no function: write {EXPECTED}")
    called = (function, getattr(function, "__call__", None))  # noqa: B004  of an object's class
    for kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        if any(map(kind, called)):
            raise TaskError(
                f"{_named(function)} does not run when it is called (async, or with a yield): "
                f"write {EXPECTED}"
            )
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # of compiled ones nobody knows
        return
    try:
        signature.bind(None, None)
    except TypeError as e:
        raise TaskError(
            f"{_named(function)} takes {signature}, but is called with a cell and a run: write "
            f"{EXPECTED}"
        ) from e


def _named(thing: object) -> str:
    name = getattr(thing, "__qualname__", None)
    return f"'{name}'" if name else f"{type(thing).__name__} object"
