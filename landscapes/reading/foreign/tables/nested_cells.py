"""Cells and records that hold more than a value: dictionaries become columns, lists curves."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from landscape_study.landscapes.reading.foreign.tables.column_names import (
    EPOCHS,
    is_curve_name,
    plain,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Value
from landscape_study.study.printable import printable

T = TypeVar("T", dict, list)

PLAIN = (str, float, int, bool, type(None))
DEEPEST = 30  # nesting of a record
LONGEST_CELL = 1_000_000  # characters of a cell that holds a dictionary or a list
WORDS: dict[str, Value] = {"nan": math.nan, "inf": math.inf, "NaN": math.nan}
WORDS |= {"Infinity": math.inf, "null": None, "true": True, "false": False}
BRACKETS: dict[Any, str] = {dict: "{}", list: "[]"}


def flat(record: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> dict[str, Value]:
    """A record without nesting: `{"optim": {"lr": 1}}` has the column optim.lr.

    `{"lr": {"value": 1, "desc": null}}`, as W&B writes it, is lr.
    """
    flattened: dict[str, Value] = {}
    for key, value in record.items():
        name = prefix + printable(str(key))
        if type(value) in PLAIN:
            flattened[name] = value
            continue
        if isinstance(value, dict) and "value" in value and value.keys() <= {"value", "desc"}:
            value = value["value"]
        if isinstance(value, dict) and depth < DEEPEST:
            flattened |= flat(value, f"{name}.", depth + 1)
        elif isinstance(value, dict | list):
            flattened[name] = json.dumps(value, default=str)
        else:
            flattened[name] = value if type(value) in PLAIN else str(value)
    return flattened


def opened(name: str, values: Sequence[Value]) -> Iterator[tuple[str, Sequence[Value]]]:
    """A column; of one whose cells hold dictionaries, a column for each of their keys."""
    first = next((one for one in values if one not in (None, "")), None)
    found = [nested(one, dict) for one in values] if _looks_nested(first, dict) else []
    if not any(found):
        yield name, values
        return
    rows = [flat(one or {}, f"{name}.") for one in found]
    for key in dict.fromkeys(key for row in rows for key in row):
        yield key, [row.get(key) for row in rows]


def with_curves(
    block: Mapping[str, Sequence[Value]], lines: Sequence[int]
) -> tuple[Mapping[str, Sequence[Value]], Sequence[int]]:
    """A row an epoch, where cells of a metric hold the list of its values.

    Where no column lists the epochs, they are counted from 1, in a column `epoch`.
    """
    curves = {name: found for name, values in block.items() if (found := _lists(name, values))}
    if not curves:
        return block, lines
    lengths = [max(1, *(len(lists[i]) for lists in curves.values())) for i in range(len(lines))]
    rows = [(i, k) for i, length in enumerate(lengths) for k in range(length)]
    long: dict[str, Sequence[Value]] = {}
    for name, values in block.items():
        lists = curves.get(name)
        if lists is None:
            long[name] = [values[i] for i, _ in rows]
        else:
            long[name] = [lists[i][k] if k < len(lists[i]) else None for i, k in rows]
    if not any(plain(name) in EPOCHS for name in curves):
        long["epoch"] = [k + 1 for _, k in rows]
    return long, [lines[i] for i, _ in rows]


def _lists(name: str, values: Sequence[Value]) -> list[list[Value]]:
    """The lists of numbers that cells of a metric, or of epochs, hold; none if they hold none."""
    first = next((one for one in values if one not in (None, "")), None)
    if not is_curve_name(name) or not _looks_nested(first, list):
        return []
    found = [nested(one, list) or [] for one in values]
    plain_ones = all(type(one) in (int, float, type(None)) for part in found for one in part)
    return found if plain_ones and any(found) else []


def _looks_nested(value: Value, kind: type) -> bool:
    text = value.strip() if isinstance(value, str) else ""
    return text[:1] + text[-1:] == BRACKETS[kind]


def nested(value: Value, kind: type[T]) -> T | None:
    """The dictionary or list that a cell holds, as JSON or as Python writes it.

    Nothing is evaluated.
    """
    if not isinstance(value, str) or not _looks_nested(value, kind) or len(value) > LONGEST_CELL:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(_Plain().visit(ast.parse(value.strip(), mode="eval")))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    return found if isinstance(found, kind) else None


class _Plain(ast.NodeTransformer):
    """Turns `nan` into its value, and `np.float64(0.1)` and the like into what they hold."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(WORDS[node.id]) if node.id in WORDS else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if len(node.args) == 1 and not node.keywords:
            return self.visit(node.args[0])
        return ast.Constant("")
