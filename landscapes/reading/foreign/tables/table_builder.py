"""A table from blocks of rows: only what may matter of a large file is kept."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import is_run_name, may_matter
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Column,
    Places,
    Table,
    Value,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

PLAIN = (str, float, int, bool, type(None))
BLOCK = 10_000  # rows that are held as they were read
FEW = 64  # different values of a setting, in a block
MOST_COLUMNS = 20_000
DEEPEST = 30  # nesting of a record
LONGEST_CELL = 1_000_000  # characters of a cell that holds a dictionary
WORDS = {"nan": math.nan, "inf": math.inf, "NaN": math.nan, "Infinity": math.inf}
WORDS |= {"null": None, "true": True, "false": False}  # type: ignore[dict-item]


class TableBuilder:
    """Takes blocks of rows.

    Args:
        source: begins the place of a row: "sweep.csv, line".
        lean: keep only columns that may matter by their names, or have few values.
        needed: columns that are kept in any case.
    """

    def __init__(self, source: str, *, lean: bool = False, needed: Iterable[str] = ()) -> None:
        self.source, self.lean, self.needed = source, lean, set(needed)
        self.kept: set[str] | None = None  # None: all
        self.parts: list[tuple[int, dict[str, Column]]] = []
        self.lines: list[np.ndarray] = []

    def add(self, block: Mapping[str, Sequence[Value]], lines: Sequence[int]) -> None:
        """Take rows: the values of each column, and the line of each row."""
        size = len(lines)
        found: dict[str, Column] = {}
        for name, values in block.items():
            for key, cells in _opened(name, values) if self.is_kept(name) else ():
                if self.kept is None or key in self.kept:
                    found[key] = Column.of(cells)
        if len(found) > MOST_COLUMNS:
            raise UsageError(
                f"{self.source}: {len(found)} columns, expected at most {MOST_COLUMNS}: export "
                "fewer"
            )
        if self.lean and self.kept is None:
            self.kept = {key for key, column in found.items() if self._may_matter(key, column)}
            found = {key: column for key, column in found.items() if key in self.kept}
        self.parts.append((size, found))
        self.lines.append(np.array(lines, dtype=np.int64))

    def add_records(self, records: Iterable[tuple[int, Mapping[str, Value]]]) -> None:
        """Take rows with their lines, some at a time."""
        block: list[tuple[int, Mapping[str, Value]]] = []
        for one in records:
            block.append(one)
            if len(block) == BLOCK:
                self._add_block(block)
                block = []
        if block:
            self._add_block(block)

    def _add_block(self, block: Sequence[tuple[int, Mapping[str, Value]]]) -> None:
        names = dict.fromkeys(key for _, record in block for key in record)
        columns = {name: [record.get(name) for _, record in block] for name in names}
        self.add(columns, [line for line, _ in block])

    def _may_matter(self, name: str, column: Column) -> bool:
        few = column.count() <= FEW
        names_each = is_run_name(name) and column.count() == len(column.codes)
        return name in self.needed or few or (may_matter(name) and not names_each)

    def is_kept(self, name: str) -> bool:
        """Whether anything of a column is kept."""
        kept = self.kept
        return kept is None or any(k == name or k.startswith(f"{name}.") for k in kept)

    def table(self, path: Path | str) -> Table:
        """All that was taken; the builder is empty then.

        Raises:
            UsageError: there was no row.
        """
        if not self.lines:
            raise UsageError(f"{path}: holds no row: name a file with results")
        names = dict.fromkeys(key for _, part in self.parts for key in part)
        columns = {}
        for key in names:
            found = [part.pop(key) if key in part else Column.blank(n) for n, part in self.parts]
            columns[key] = Column.joined(found)
        line = np.concatenate(self.lines)
        places = Places((self.source,), np.zeros_like(line), line)
        return Table(Path(str(path).removesuffix(".gz")).stem, str(path), columns, places)


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


def _opened(name: str, values: Sequence[Value]) -> Iterator[tuple[str, Sequence[Value]]]:
    """A column; of one whose cells hold dictionaries, a column for each of their keys."""
    first = next((one for one in values if one not in (None, "")), None)
    opened = [dictionary(one) for one in values] if _looks_nested(first) else []
    if not any(opened):
        yield name, values
        return
    rows = [flat(one or {}, f"{name}.") for one in opened]
    for key in dict.fromkeys(key for row in rows for key in row):
        yield key, [row.get(key) for row in rows]


def _looks_nested(value: Value) -> bool:
    return isinstance(value, str) and value.strip()[:1] == "{" and value.strip()[-1:] == "}"


def dictionary(value: Value) -> dict[Any, Any] | None:
    """The dictionary that a cell holds, as JSON or as Python writes it; nothing is evaluated."""
    if not isinstance(value, str) or not _looks_nested(value) or len(value) > LONGEST_CELL:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(_Plain().visit(ast.parse(value.strip(), mode="eval")))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    return found if isinstance(found, dict) else None


class _Plain(ast.NodeTransformer):
    """Turns `nan` into its value, and `np.float64(0.1)` and the like into what they hold."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(WORDS[node.id]) if node.id in WORDS else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if len(node.args) == 1 and not node.keywords:
            return self.visit(node.args[0])
        return ast.Constant("")
