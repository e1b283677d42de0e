"""A table from blocks of rows: only what may matter of a large file is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import is_run_name, may_matter
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Column,
    Places,
    Table,
    Value,
)
from landscape_study.landscapes.reading.foreign.tables.nested_cells import opened, with_curves
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

BLOCK = 10_000  # rows that are held as they were read, at most
FIELDS = 250_000  # likewise fields
FEW = 64  # different values of a setting, in a block
MOST_COLUMNS = 20_000


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
        parts = (opened(name, values) for name, values in block.items() if self.is_kept(name))
        kept = {key: values for part in parts for key, values in part if self.takes(key)}
        cells, lines = with_curves(kept, lines)
        size = len(lines)
        found = {key: Column.of(values) for key, values in cells.items()}
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
            if len(block) >= block_rows(len(one[1])):
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

    def takes(self, name: str) -> bool:
        """Whether a column is kept."""
        return self.kept is None or name in self.kept

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
        name = printable(Path(str(path).removesuffix(".gz")).stem)
        return Table(name, printable(str(path)), columns, places)


def block_rows(columns: int) -> int:
    """How many rows of so many columns are held at once."""
    return max(min(BLOCK, FIELDS // max(columns, 1)), 100)
