"""A table from blocks of rows: only what may matter of a large file is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.column_names import is_run_name, may_matter
from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Bools,
    Column,
    Ints,
    PackedColumn,
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
MOST_ROWS = 10_000_000  # that are held: some 3 GB


@dataclass(frozen=True)
class Wanted:
    """What the user wants of a file; of a large one nothing else need be kept.

    Attributes:
        columns: that are kept in any case.
        rows: which rows of a block are wanted, [N]; None where that cannot be told yet.
    """

    columns: frozenset[str] = frozenset()
    rows: Callable[[Mapping[str, Column]], Bools | None] = lambda columns: None


class TableBuilder:
    """Takes blocks of rows.

    Args:
        source: begins the place of a row: "sweep.csv, line".
        lean: keep only columns that may matter by their names, or have few values; and of the
            rows those that are wanted.
        wanted: what the user wants of the file.
    """

    def __init__(self, source: str, *, lean: bool = False, wanted: Wanted | None = None) -> None:
        self.source, self.lean, self.wanted = source, lean, wanted or Wanted()
        self.kept: set[str] | None = None  # None: all
        self.parts: list[tuple[int, dict[str, PackedColumn]]] = []
        self.lines: list[np.ndarray] = []
        self.rows = 0  # that are held

    def add(self, block: Mapping[str, Sequence[Value]], lines: Sequence[int]) -> None:
        """Take rows: the values of each column, and the line of each row."""
        parts = (opened(name, values) for name, values in block.items() if self.is_kept(name))
        kept = {key: values for part in parts for key, values in part if self.takes(key)}
        cells, lines = with_curves(kept, lines)
        found = {key: PackedColumn.of(values) for key, values in cells.items()}
        if len(found) > MOST_COLUMNS:
            raise UsageError(
                f"{self.source}: {len(found)} columns, expected at most {MOST_COLUMNS}: export "
                "fewer"
            )
        if self.lean and self.kept is None:
            self.kept = {key for key, column in found.items() if self._may_matter(key, column)}
            found = {key: column for key, column in found.items() if key in self.kept}
        at = np.array(lines, dtype=np.int64)
        chosen = self._wanted_rows(found) if self.lean else None
        if chosen is not None:
            found = {key: column.take(chosen) for key, column in found.items()}
            at = at[chosen]
        self.parts.append((len(at), found))
        self.lines.append(at)
        self.rows += len(at)
        if self.rows > MOST_ROWS:
            raise UsageError(
                f"{self.source} {lines[-1]}: more than {MOST_ROWS:,} rows: choose some with "
                "--where, as in --where 'epoch >= 90'"
            )

    def _wanted_rows(self, found: Mapping[str, PackedColumn]) -> Ints | None:
        """The rows of a block that are wanted; None if all, or where that cannot be told yet."""
        named = {key: found[key].unpacked() for key in found if key in self.wanted.columns}
        wanted = self.wanted.rows(named)
        return None if wanted is None else np.flatnonzero(wanted)

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

    def _may_matter(self, name: str, column: PackedColumn) -> bool:
        count = column.distinct.count()
        names_each = is_run_name(name) and count == column.size
        return name in self.wanted.columns or count <= FEW or (may_matter(name) and not names_each)

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
        if not self.rows:
            raise UsageError(f"{path}: no row fulfils --where: change the condition")
        names = dict.fromkeys(key for _, part in self.parts for key in part)
        columns = {}
        for key in names:
            packed = [part.pop(key, None) for _, part in self.parts]
            if self.lean and not self._is_needed(key) and _is_constant(packed):
                continue
            sizes = (size for size, _ in self.parts)
            columns[key] = Column.joined(
                [
                    one.unpacked() if one else Column.blank(size)
                    for one, size in zip(packed, sizes, strict=True)
                ]
            )
        line = np.concatenate(self.lines)
        places = Places((self.source,), np.zeros_like(line), line)
        name = printable(Path(str(path).removesuffix(".gz")).stem)
        return Table(name, printable(str(path)), columns, places)

    def _is_needed(self, name: str) -> bool:
        """Whether a column may matter even if it is the same in all rows."""
        return name in self.wanted.columns or may_matter(name)


def _is_constant(parts: Sequence[PackedColumn | None]) -> bool:
    found = [one.distinct for one in parts if one is not None]
    return len(found) == len(parts) and Column.joined(found).count() < 2


def block_rows(columns: int) -> int:
    """How many rows of so many columns are held at once."""
    return max(min(BLOCK, FIELDS // max(columns, 1)), 100)
