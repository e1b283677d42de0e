"""Texts with separators: CSV and what is written like it, read in blocks."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, number
from landscape_study.landscapes.reading.foreign.tables.table_builder import (
    TableBuilder,
    block_rows,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

SEPARATORS = ",;\t|"
GROUPED = re.compile(r"\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*")
IN_WORDS = re.compile(r"[A-Za-z]:? +[-+]?\d")  # "step 100: val loss 2.31", as no column is called
DECIMAL = re.compile(r"\d\.\d")
MOST_OF_A_LINE = 10_000_000  # characters


def read_delimited(path: Path, file: TextIO, builder: TableBuilder) -> Table:
    """The rows of a text with separators, after its header.

    Raises:
        UsageError: a row of another length than the header, quotes that do not end, two columns
            of one name.
    """
    separator, skipped, first = _beginning(path, file)
    by_comma = separator == ","
    lines = csv.reader(
        _all(first, file), delimiter=separator, strict=True, skipinitialspace=separator == " "
    )
    try:
        header = _header(path, lines)
        rows = block_rows(len(header))
        while block := list(
            islice(_fields(path, lines, len(header), skipped, by_comma=by_comma), rows)
        ):
            columns = zip(*(fields for _, fields in block), strict=True)
            builder.add(dict(zip(header, columns, strict=True)), [line for line, _ in block])
    except csv.Error as e:
        line = lines.line_num + skipped
        raise UsageError(f"{path}, line {line}: {e}: mend that line") from e
    return builder.table(path)


def _beginning(path: Path, file: TextIO) -> tuple[str, int, str]:
    """The separator, how many lines stand before the header, and the header's first line."""
    for skipped in range(1000):
        line = file.readline(MOST_OF_A_LINE)
        said = re.fullmatch(r'"?sep=(.)"?\s*', line)  # as Excel writes it
        if said:
            return said[1], skipped + 1, file.readline(MOST_OF_A_LINE)
        separator = max(SEPARATORS, key=line.count)
        if separator not in line and len(line.split()) > 2 and not line.startswith("#"):
            separator = " "
        is_remark = line.startswith("#") and separator not in line
        if not line or (line.strip() and not is_remark):
            return separator, skipped, line
    raise UsageError(f"{path}: holds no header: name a file with results")


def _all(first: str, rest: TextIO) -> Iterator[str]:
    yield first
    while line := rest.readline(MOST_OF_A_LINE):
        yield line


def _fields(
    path: Path, lines: Iterator[list[str]], size: int, skipped: int, *, by_comma: bool
) -> Iterator:
    """The line and the fields of each row."""
    for fields in lines:
        line = lines.line_num + skipped  # type: ignore[attr-defined]
        if len(fields) == size and (size > 1 or fields[0].strip()):
            if any(fields):
                yield line, [_without_groups(field) for field in fields] if by_comma else fields
        elif any(field.strip() for field in fields):
            raise UsageError(
                f"{path}, line {line}: {len(fields)} fields where the header has {size}: mend "
                "that line, or quote what holds a separator"
            )


def _without_groups(field: str) -> str:
    """A field of a file in which commas separate fields: in "1,234.5" they group digits."""
    return field.replace(",", "") if "," in field and GROUPED.fullmatch(field) else field


def _header(path: Path, lines: Iterator[list[str]]) -> list[str]:
    fields = next(lines, [])
    if fields:
        fields[0] = fields[0].removeprefix("#")  # as NumPy writes it
    if len(fields) > 1 and all(map(_is_number, fields)):
        raise UsageError(
            f"{path}: begins with numbers, expected the names of columns: add a line with them, "
            "as lr,wd,val_loss"
        )
    if fields and IN_WORDS.search(fields[0]) and any(map(DECIMAL.search, fields)):
        raise UsageError(
            f"{path}: begins with '{printable(fields[0])[:40]}', a log in words, expected the "
            "names of columns: write a table, or a record in JSON a line"
        )
    names = [printable(name.strip()) or f"column {i + 1}" for i, name in enumerate(fields)]
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(f"{path}: {times} columns are called '{name}': rename them")
    return names


def _is_number(field: str) -> bool:
    try:
        return number(field) is not None
    except ValueError:
        return False
