"""A foreign table: columns of numbers and texts, and where each of its rows stands.

Letters: N rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.study.printable import printable

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Goal: TypeAlias = Literal["minimize", "maximize"]
Value: TypeAlias = str | float | int | bool | None

DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
NOT_A_NUMBER = re.compile(r"(?i)[-+]?(nan\(.*\)|1\.#(qnan|snan|ind)\d*)")  # as C writes it
NOTHING = {"", "none", "null", "na", "n/a", "#n/a", "<na>", "-", "--"}  # in small letters
NUMBER, EMPTY = -1, -2  # codes of what is no text
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs text that begins with one
LONGEST = 200  # characters of a text that are kept


@dataclass(frozen=True, eq=False)
class Column:
    """What stands in a column: numbers, texts, or nothing."""

    numbers: Floats  # [N]; NaN where none stands
    codes: npt.NDArray[np.int32]  # [N] index of the text; NUMBER, EMPTY
    texts: tuple[str, ...]
    percent: frozenset[bool] = frozenset()  # whether numbers end in %: all, none, or both

    @classmethod
    def of(cls, values: Iterable[Value]) -> Column:
        """A column of values as they were read."""
        return PackedColumn.of(values).unpacked()

    @classmethod
    def blank(cls, size: int) -> Column:
        """A column in which nothing stands."""
        return cls(np.full(size, np.nan), np.full(size, EMPTY, np.int32), ())

    @classmethod
    def joined(cls, parts: Sequence[Column]) -> Column:
        """Columns, one below the other."""
        texts: dict[str, int] = {}
        codes = []
        for part in parts:
            index = [texts.setdefault(one, len(texts)) for one in part.texts]
            new = np.array([*index, EMPTY], dtype=np.int32)
            codes.append(np.where(part.codes >= 0, new[np.maximum(part.codes, -1)], part.codes))
        return cls(
            np.concatenate([one.numbers for one in parts]),
            np.concatenate(codes),
            (*texts,),
            frozenset().union(*(one.percent for one in parts)),
        )

    def take(self, rows: Ints) -> Column:
        """Some of its rows."""
        return Column(self.numbers[rows], self.codes[rows], self.texts, self.percent)

    @property
    def is_number(self) -> Bools:
        """Where a number stands, [N]; NaN and infinities are numbers."""
        return self.codes == NUMBER

    @property
    def is_empty(self) -> Bools:
        """Where nothing stands, [N]."""
        return self.codes == EMPTY

    @property
    def is_numeric(self) -> bool:
        """Whether numbers stand there, and more of them than texts."""
        return bool(self.is_number.sum() > (self.codes >= 0).sum())

    def equals(self, other: Column) -> bool:
        """Whether the same stands in every row of another column."""
        if not np.array_equal(self.numbers, other.numbers, equal_nan=True):
            return False
        return np.array_equal(self.as_texts(), other.as_texts())

    def keys(self) -> Ints:
        """A whole number for each row, [N]: the same for the same value."""
        kinds, _ = pd.factorize(self.codes)
        values, _ = pd.factorize(self.numbers, use_na_sentinel=False)
        return np.asarray(kinds * (values.max(initial=0) + 1) + values, dtype=np.int64)

    def distinct(self) -> list[str]:
        """The different values that stand there, as texts, in their order; not nothing."""
        _, first = np.unique(self.keys(), return_index=True)
        found = self.take(np.sort(first))
        return [text for text in found.as_texts() if text]

    def count(self) -> int:
        """How many different values stand there; nothing counts as one."""
        return len(np.unique(self.keys()))

    def as_texts(self) -> npt.NDArray[np.object_]:
        """Every value as a text, [N]; "" where nothing stands."""
        _, first, place = np.unique(self.keys(), return_index=True, return_inverse=True)
        some, texts = self.take(first), [*self.texts, ""]
        found = [
            _text(value) if code == NUMBER else texts[max(code, -1)]
            for value, code in zip(some.numbers.tolist(), some.codes.tolist(), strict=True)
        ]
        return np.array(found, dtype=object)[place]


@dataclass(frozen=True, eq=False)
class PackedColumn:
    """A column by its different values: of a few that stand often, a byte a row."""

    distinct: Column  # [D]
    place: npt.NDArray[np.unsignedinteger]  # [N] which of them

    @classmethod
    def of(cls, values: Iterable[Value]) -> PackedColumn:
        """A column of values as they were read."""
        index: dict[Value, int] = {}
        where = [
            index.setdefault(str(one) if isinstance(one, bool) else one, len(index))
            for one in values
        ]
        texts: dict[str, int] = {}
        numbers, codes = np.full(len(index), np.nan), np.full(len(index), NUMBER, np.int32)
        percent: set[bool] = set()
        for i, value in enumerate(index):
            try:
                read = number(value)
            except ValueError:
                codes[i] = texts.setdefault(_unmarked(str(value))[:LONGEST], len(texts))
            else:
                if read is None:
                    codes[i] = EMPTY
                else:
                    numbers[i] = read
                    if math.isfinite(read):
                        percent.add(isinstance(value, str) and value.rstrip().endswith("%"))
        small = np.min_scalar_type(max(len(index) - 1, 0))
        distinct = Column(numbers, codes, tuple(texts), frozenset(percent))
        return cls(distinct, np.array(where, dtype=small))

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.place)

    def take(self, rows: Ints) -> PackedColumn:
        """Some of its rows."""
        return PackedColumn(self.distinct, self.place[rows])

    def unpacked(self) -> Column:
        """The column itself."""
        return self.distinct.take(self.place.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Places:
    """Where rows stand, for messages."""

    sources: tuple[str, ...]  # "sweep.csv, line"
    source: Ints  # [N] which of them
    line: Ints  # [N]

    def __getitem__(self, row: int) -> str:
        return printable(f"{self.sources[self.source[row]]} {self.line[row]}")

    def take(self, rows: Ints) -> Places:
        """Of some of the rows."""
        return Places(self.sources, self.source[rows], self.line[rows])

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """Of tables, one below the other."""
        first = np.cumsum([0, *(len(part.sources) for part in parts)])
        moved = [part.source + start for part, start in zip(parts, first, strict=False)]
        lines = np.concatenate([part.line for part in parts])
        return cls(tuple(s for part in parts for s in part.sources), np.concatenate(moved), lines)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns that were read, and where their rows stand."""

    name: str  # of the file, without its suffix
    path: str  # for messages
    columns: dict[str, Column]
    places: Places
    goals: Mapping[str, Column] = field(default_factory=dict)  # by metric, where the file says it
    steps: pd.DataFrame | None = None  # row, epoch, and metrics: of curves beside the rows
    counted: str = "epoch"  # what the epochs of curves are in the file

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.places.line)

    def take(self, rows: Ints) -> Table:
        """Some of its rows, with their curves."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        goals = {name: column.take(rows) for name, column in self.goals.items()}
        steps = self.steps
        if steps is not None:
            new = pd.Series(np.arange(len(rows)), index=rows)
            steps = steps[steps["row"].isin(rows)]
            steps = steps.assign(row=steps["row"].map(new))
        places = self.places.take(rows)
        return replace(self, columns=columns, places=places, goals=goals, steps=steps)

    def without_copies(self, names: Iterable[str]) -> list[str]:
        """Columns without those that hold the same numbers as another."""
        kept: list[str] = []
        for name in names:
            own = self.columns[name].numbers
            others = (self.columns[other].numbers for other in kept)
            if not any(np.array_equal(own, one, equal_nan=True) for one in others):
                kept.append(name)
        return kept

    def keys(self, names: Iterable[str]) -> Ints:
        """A whole number for each row, [N]: the same where all these columns are the same."""
        found = np.zeros(self.size, dtype=np.int64)
        for name in names:
            codes, values = pd.factorize(self.columns[name].keys())
            found, _ = pd.factorize(found * max(len(values), 1) + codes)
        return found


def joined_tables(name: str, path: str, tables: Sequence[Table]) -> Table:
    """Tables, one below the other; what a table lacks is empty there."""
    sizes = [table.size for table in tables]
    places = Places.joined([table.places for table in tables])
    columns = _joined([table.columns for table in tables], sizes)
    return Table(name, path, columns, places, _joined([table.goals for table in tables], sizes))


def _joined(parts: Sequence[Mapping[str, Column]], sizes: Sequence[int]) -> dict[str, Column]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: Column.joined(
            [part.get(name) or Column.blank(n) for part, n in zip(parts, sizes, strict=True)]
        )
        for name in names
    }


def number(value: Value) -> float | None:
    """A value as a number; None where nothing stands.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number")
    if value is None:
        return None
    try:
        read = float(value)
    except OverflowError as e:  # a whole number of hundreds of digits
        raise ValueError(f"{str(value)[:20]}… is no number") from e
    except ValueError:
        text = str(value).strip()
        if NOT_A_NUMBER.fullmatch(text):
            return math.nan
        if text.lower() in NOTHING:
            return None
        text = text.removesuffix("%").rstrip()
        return float(text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text)
    if isinstance(value, str) and "_" in value:  # Python takes them, nobody means them
        raise ValueError(f"{printable(value)!r} is no number")
    return read


def _unmarked(text: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from running it."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULAS) else text


def _text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
