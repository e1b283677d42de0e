"""Tables in files: CSV with any separator, JSON, JSON lines; each row with where it stands."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

SEPARATORS = ",;\t|"
SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Table:
    """Rows of a file: what stands in each column, and where."""

    name: str  # of the file, without its suffix
    columns: tuple[str, ...]
    rows: tuple[dict[str, Value], ...]
    places: tuple[str, ...]  # of the rows: "sweep.csv, line 3"

    def values(self, column: str) -> list[Value]:
        """What stands in a column."""
        return [row.get(column) for row in self.rows]


def is_table_file(name: str) -> bool:
    """Whether a name means a file, there or not, and no study."""
    return Path(name).suffix.lower() in (*SUFFIXES, ".nc")


def read_table(path: Path) -> Table:
    """Read the rows of a file.

    Raises:
        UsageError: it cannot be read, has no rows, or rows of another length than its header.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: name a file that ends in one of {', '.join(SUFFIXES)}")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as e:
        raise UsageError(f"{path}: cannot be read ({e.strerror}): name a file with results") from e
    except UnicodeDecodeError as e:
        raise UsageError(f"{path}: no text in UTF-8 ({e.reason}): save it as such") from e
    is_json = path.suffix.lower() in (".json", ".jsonl", ".ndjson")
    found = list(_json(path, text) if is_json else _separated(path, text))
    if not found:
        raise UsageError(f"{path}: holds no row: name a file with results")
    columns = dict.fromkeys(key for _, row in found for key in row)
    places, rows = zip(*found, strict=True)
    return Table(path.stem, tuple(columns), rows, tuple(f"{path}, {place}" for place in places))


def number(value: Value) -> float | None:
    """A value as a number; None where nothing stands.

    Raises:
        ValueError: it is none.
    """
    if value is None or isinstance(value, bool):
        if value is None:
            return None
        raise ValueError(f"{value} is no number")
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if DECIMAL_COMMA.fullmatch(value):
            value = value.replace(",", ".")
        if "_" in value:  # Python takes them, nobody means them
            raise ValueError(f"{printable(value)!r} is no number")
    return float(value)


def _separated(path: Path, text: str) -> Iterator[tuple[str, dict[str, Value]]]:
    """The rows of a text with separators, after its header."""
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    lines = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    header: list[str] = []
    try:
        for fields in lines:
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = _header(path, fields)
            elif len(fields) != len(header):
                raise UsageError(
                    f"{path}, line {lines.line_num}: {len(fields)} fields where the header has "
                    f"{len(header)}: mend that line, or quote what holds a separator"
                )
            else:
                yield f"line {lines.line_num}", dict(zip(header, fields, strict=True))
    except csv.Error as e:
        raise UsageError(f"{path}, line {lines.line_num}: {e}: mend that line") from e


def _header(path: Path, fields: list[str]) -> list[str]:
    names = [printable(name.strip()) or f"column {i + 1}" for i, name in enumerate(fields)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{path}: {names.count(name)} columns are called '{name}': rename them"
            )
    return names


def _json(path: Path, text: str) -> Iterator[tuple[str, dict[str, Value]]]:
    """The records of a JSON file, or of one with a record a line."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        yield from _json_lines(path, text)
        return
    except RecursionError as e:
        raise UsageError(f"{path}: is nested too deeply to be a table") from e
    shared, records = _records(path, whole)
    for i, record in enumerate(records, start=1):
        yield f"record {i}", shared | _flat(path, f"record {i}", record)


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, Value]]]:
    for i, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as e:
                raise UsageError(f"{path}, line {i}: no JSON: mend that line") from e
            yield f"line {i}", _flat(path, f"line {i}", record)


def _records(path: Path, whole: Any) -> tuple[dict[str, Value], list[Any]]:
    """What all records share, and the records: the one list of a table, or the list itself."""
    if isinstance(whole, list):
        return {}, whole
    lists = [key for key, value in whole.items() if _is_list_of_records(value)]
    if len(lists) != 1:
        raise UsageError(
            f"{path}: {len(lists)} lists of records, expected one: give a list of records, or one "
            "beside what they share"
        )
    shared = {key: value for key, value in whole.items() if key != lists[0]}
    return _flat(path, "what stands beside its records", shared), whole[lists[0]]


def _is_list_of_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _flat(path: Path, place: str, record: Any, prefix: str = "") -> dict[str, Value]:
    """A record without nesting: `{"optim": {"lr": 1}}` has the column optim.lr."""
    if not isinstance(record, dict):
        raise UsageError(f'{path}, {place}: is no record, as in {{"lr": 0.1, …}}: mend it')
    flat: dict[str, Value] = {}
    for key, value in record.items():
        name = prefix + printable(str(key))
        if isinstance(value, dict):
            flat |= _flat(path, place, value, f"{name}.")
        else:
            flat[name] = json.dumps(value) if isinstance(value, list) else value
    return flat
