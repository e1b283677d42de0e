"""Numbers in what users print, report and return, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any


def flat(
    record: object, number: Callable[[Any], float | None], prefix: str = ""
) -> dict[str, float]:
    """The numbers of a record by name, nested or not: {"eval": {"loss": 1}} has eval.loss.

    Args:
        number: gives what a value stands for, None if it is no number.
    """
    found: dict[str, float] = {}
    for key, value in record.items() if isinstance(record, Mapping) else ():
        if isinstance(value, Mapping):
            found |= flat(value, number, f"{prefix}{key}.")
        elif (one := number(value)) is not None:
            found[f"{prefix}{key}"] = one
    return found


def written_number(value: Any) -> float | None:
    """A number, also one that a text holds; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def scalar(value: Any) -> float | None:
    """A number, also of numpy, or a tensor with one element; None if it is none."""
    if isinstance(value, str | bytes):
        return None
    try:
        one = value.item() if hasattr(value, "item") else value
        return None if isinstance(one, bool | str | bytes) else float(one)
    except Exception:  # of more than one element; each library raises what it likes
        return None


def lacking(metric: str, seen: Collection[str], verb: str, else_: str) -> str:
    """That a metric was never given, and which name may be meant.

    Args:
        seen: the names of what was given.
        verb: how it was given: "printed", "returned".
        else_: what to say where nothing was.
    """
    close = difflib.get_close_matches(metric, seen, 1, 0.5)
    if close:
        return f"it {verb} no '{metric}', but '{close[0]}'"
    if seen:
        return f"it {verb} no '{metric}', only {', '.join(sorted(seen)[:10])}"
    return else_
