"""Records in JSON: a list of them, one a line, or columns; curves as lists or as records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, Value
from landscape_study.landscapes.reading.foreign.tables.name_settings import settings_in
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.errors import UsageError

LARGEST = 512 * 1024**2  # characters of a file that is one JSON value: it is read whole
SERIES = {"steps", "values"}  # keys of a metric in Sacred's metrics.json
Row = tuple[int, dict[str, Value]]


def read_json(path: Path, file: TextIO, builder: TableBuilder, *, single: bool = False) -> Table:
    """The records of a JSON file, or of one with a record a line.

    Args:
        path: of the file, for messages.
        file: the file.
        builder: takes the rows.
        single: whether the file may be one record, that of one run.

    Raises:
        UsageError: it holds something else.
    """
    text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise UsageError(f"{path}: too large to be read whole: write a record a line, as .jsonl")
    try:
        whole = json.loads(text)
    except RecursionError as e:
        raise UsageError(f"{path}: is nested too deeply to be a table") from e
    except ValueError:
        builder.source = f"{path}, line"
        builder.add_records(_lines(path, text.splitlines()))
    else:
        builder.source = f"{path}, record"
        builder.add_records(_whole(path, whole, single))
    return builder.table(path)


def read_json_lines(path: Path, file: TextIO, builder: TableBuilder) -> Table:
    """A record a line, read in blocks.

    Raises:
        UsageError: a line holds something else.
    """
    builder.add_records(_lines(path, file))
    return builder.table(path)


def _lines(path: Path, lines: Iterable[str]) -> Iterator[Row]:
    for i, line in enumerate(lines, start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as e:
                raise UsageError(f"{path}, line {i}: no JSON: mend that line") from e
            yield from ((i, row) for row in _rows(path, f"line {i}", record))


def _whole(path: Path, whole: Any, single: bool) -> Iterator[Row]:
    shared, records = _records(path, whole, single)
    for i, record in enumerate(records, start=1):
        for row in _rows(path, f"record {i}", record):
            yield i, shared | row


def _records(path: Path, whole: Any, single: bool) -> tuple[dict[str, Value], list[Any]]:
    """What all records share, and the records, in whichever way they are written."""
    if isinstance(whole, list):
        return {}, whole
    if not isinstance(whole, dict):
        raise UsageError(f"{path}: {str(whole)[:40]} is no list of records: name another file")
    lists = [key for key, value in whole.items() if _is_list_of_records(value)]
    if len(lists) == 1:
        shared = {key: value for key, value in whole.items() if key != lists[0]}
        return flat(shared), whole[lists[0]]
    table = [] if lists else _turned(whole)
    if table:
        return {}, table
    if single:
        return {}, [whole]
    if whole and not lists:
        raise UsageError(
            f"{path}: holds one run only, expected a sweep: name the folder with the files of all "
            "runs, or write a list of records, one a run"
        )
    raise UsageError(
        f"{path}: {len(lists)} lists of records, expected one: give a list of records, or one "
        "beside what they share"
    )


def _turned(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of what pandas writes by columns, by rows' names, or split; else none."""
    parts = list(whole.values())
    if {"columns", "data"} <= whole.keys() and isinstance(whole["data"], list):
        rows = [row for row in whole["data"] if isinstance(row, list)]
        return [dict(zip(map(str, whole["columns"]), row, strict=False)) for row in rows]
    if parts and all(isinstance(part, dict) and part.keys() >= SERIES for part in parts):
        return _series(whole)
    if parts and all(isinstance(part, list) and len(part) == len(parts[0]) for part in parts):
        return [dict(zip(whole, row, strict=True)) for row in zip(*parts, strict=True)]
    if len(parts) > 1 and all(isinstance(part, dict) for part in parts):
        if all(part.keys() == parts[0].keys() for part in parts) and "0" in parts[0]:
            return [{key: part[i] for key, part in whole.items()} for i in parts[0]]
        if _is_alike(parts):
            return [{"run": name, **settings_in([name]), **part} for name, part in whole.items()]
    named = {name: settings_in([name]) for name in whole}
    if all(type(one) in (int, float) for one in parts) and all(map(len, named.values())):
        return [{"run": name, **named[name], "value": one} for name, one in whole.items()]
    return []


def _series(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """A record a step, of metrics that each list their steps and values, as Sacred writes them."""
    rows: dict[Any, dict[str, Any]] = {}
    for name, one in whole.items():
        for step, value in zip(one["steps"], one["values"], strict=False):
            rows.setdefault(str(step), {"step": step})[name] = value
    return list(rows.values())


def _is_alike(parts: list[dict[str, Any]]) -> bool:
    """Whether dictionaries have mostly the same keys, as records do and settings do not."""
    common = set(parts[0]).intersection(*parts)
    return 2 * len(common) > max(len(part) for part in parts)


def _is_list_of_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _rows(path: Path, place: str, record: Any) -> Iterator[dict[str, Value]]:
    """The rows of a record: one, or one an epoch where it holds a history of records."""
    if not isinstance(record, dict):
        raise UsageError(f'{path}, {place}: is no record, as in {{"lr": 0.1, …}}: mend it')
    if not any(type(value) in (dict, list) for value in record.values()):
        yield flat(record)
        return
    history = [key for key, value in record.items() if _is_list_of_records(value)]
    if len(history) == 1:
        shared = flat({key: value for key, value in record.items() if key != history[0]})
        yield from (shared | flat(part) for part in record[history[0]] if isinstance(part, dict))
        return
    yield flat(record)
