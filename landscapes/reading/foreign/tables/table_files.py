"""Files of results: how each kind is opened."""

from __future__ import annotations

import codecs
import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from landscape_study.landscapes.reading.foreign.tables.arrow_tables import read_parquet
from landscape_study.landscapes.reading.foreign.tables.cubes import read_cube
from landscape_study.landscapes.reading.foreign.tables.delimited import read_delimited
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table
from landscape_study.landscapes.reading.foreign.tables.json_records import (
    read_json,
    read_json_lines,
)
from landscape_study.landscapes.reading.foreign.tables.optuna_studies import read_optuna
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder, Wanted
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.results_files import (
    CUBES,
    DATABASES,
    LINES,
    PACKED,
    PARQUET,
    SEPARATED,
    SUFFIXES,
    suffix,
)

LOOKED_AT = 64 * 1024  # bytes of a text, to see how it is written
LARGE = 64 * 1024**2  # bytes of a file of which only what may matter is kept


def read_file(path: Path | str, wanted: Wanted | None = None, *, single: bool = False) -> Table:
    """Read the rows of a file, or of the studies in an Optuna database.

    Args:
        path: of the file, or the URL of a database.
        wanted: what the user wants of it, if that is not all.
        single: whether a JSON file may be one record, that of one run.

    Raises:
        UsageError: it cannot be read, is no such file, has no rows, or changes meanwhile.
    """
    if "://" in str(path):
        return read_optuna(str(path))
    path = Path(path)
    ending = suffix(path)
    if ending not in SUFFIXES:
        raise UsageError(
            f"{path}: is of no kind that is read: save it as .csv, or name one that ends in "
            f"{', '.join(SUFFIXES)}"
        )
    if ending in DATABASES and _state(path):  # read as it is at one moment
        return read_optuna(str(path))
    with _unchanged(path) as size:
        builder = TableBuilder(f"{path}, line", lean=size > LARGE, wanted=wanted)
        if ending in PARQUET:
            return read_parquet(path, builder)
        if ending in CUBES:
            return read_cube(path, builder)
        return _read_text(path, ending, builder, single)


def _read_text(path: Path, ending: str, builder: TableBuilder, single: bool) -> Table:
    try:
        with _opened(path) as file:
            first = _first_sign(file)
            if ending in SEPARATED and first not in ("{", "["):
                return read_delimited(path, file, builder)
            if ending in LINES or (ending in SEPARATED and first == "{"):
                return read_json_lines(path, file, builder)
            return read_json(path, file, builder, single=single)
    except UnicodeDecodeError as e:
        raise UsageError(f"{path}: no text in UTF-8 ({e.reason}): save it as such") from e
    except (OSError, EOFError, zlib.error) as e:  # what is no gzip is an OSError
        raise _unreadable(path, e) from e


def _first_sign(file: TextIO) -> str:
    """The first character of a text that is not blank; a log.txt often holds JSON."""
    found = file.read(100).lstrip()[:1]
    file.seek(0)
    return found


def _opened(path: Path) -> TextIO:
    packed = path.suffix.lower() == PACKED
    with gzip.open(path) if packed else path.open("rb") as file:
        encoding = _encoding(path, file.read(LOOKED_AT))
    opener = cast("Callable[..., TextIO]", gzip.open if packed else open)
    return opener(path, "rt", encoding=encoding, newline="")


def _encoding(path: Path, start: bytes) -> str:
    """How a text that starts so is written: UTF-8, UTF-16, UTF-32, or as Excel does in the West.

    Raises:
        UsageError: it is no text.
    """
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as spreadsheets save "Unicode text"
        return "utf-16"
    if b"\0" in start:
        raise UsageError(
            f"{path}: holds NUL bytes, so that it is no text in UTF-8: save it as such, or name a "
            "file with results"
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < LOOKED_AT)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


@contextmanager
def _unchanged(path: Path) -> Iterator[int]:
    """The size of a regular file, in bytes, that is the same afterwards.

    Raises:
        UsageError: it is no regular file, or it changed meanwhile.
    """
    before = _state(path)
    if not stat.S_ISREG(before.st_mode):  # a pipe would be waited for
        raise UsageError(f"{path}: no regular file: name a file with results")
    yield before.st_size
    after = _state(path)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise UsageError(
            f"{path}: changed while it was read: wait until it is written, or copy it"
        )


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as e:
        raise _unreadable(path, e) from e


def _unreadable(path: Path, e: Exception) -> UsageError:
    cause = getattr(e, "strerror", None) or str(e)
    return UsageError(f"{path}: cannot be read ({cause}): name a file with results")
