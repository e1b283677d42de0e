"""Names that mean files or folders of results that were trained elsewhere, and no study."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from landscape_study.study.errors import (
    LandscapeError,
    MissingStoreError,
    MissingStudyError,
    UsageError,
)
from landscape_study.study.printable import printable
from landscape_study.study.spec.shell_words import shell_words

SEPARATED = (".csv", ".tsv", ".txt", ".dat")
JSON, LINES = (".json",), (".jsonl", ".ndjson")
PARQUET, CUBES = (".parquet", ".pq"), (".nc", ".nc4", ".netcdf", ".h5netcdf")
DATABASES = (".db", ".sqlite", ".sqlite3")
TEXTS = (*SEPARATED, *JSON, *LINES)
SUFFIXES = (*TEXTS, *PARQUET, *CUBES, *DATABASES)
PACKED = ".gz"  # after the suffix of a text
MOST_LOOKED = 10_000  # files of a folder, to see whether it holds results


def is_table_file(name: str) -> bool:
    """Whether a name means a file or folder of results, there or not, and no study.

    It does if it ends like such a file, is the URL of a database, holds a separator of folders,
    or is a folder that holds such files.
    """
    ends = suffix(Path(name)) in SUFFIXES
    return ends or "/" in name or os.sep in name or _holds_files(Path(name))


@contextmanager
def no_results(name: object, *also: type[LandscapeError]) -> Iterator[None]:
    """Look for a study or a database; if that fails, say so where files of results have its name.

    A database of Optuna's may as well be one of studies, so that nothing is said of it.

    Args:
        name: what was named.
        *also: errors that mean the same, besides that there is no such study or database.

    Raises:
        UsageError: it is a file or folder of results; with what reads it.
    """
    try:
        yield
    except LandscapeError as e:
        text = str(name) if isinstance(name, str | Path) else ""
        means_it = isinstance(e, (MissingStudyError, MissingStoreError, *also))
        if not (means_it and text and _holds_results(text)):
            raise
        raise UsageError(_told(text)) from e


def _told(name: str) -> str:
    word, text = shell_words([name]), printable(name)
    return (
        f"{text} is no study, but results of training elsewhere: `landscape report {word}` says "
        "what they show (plot, compare, show and export take them too), "
        f"`landscape import {word}` stores them as a study; in Python ls.report(None, {text!r}) "
        f"and ls.import_files(store, {text!r})"
    )


def _holds_results(name: str) -> bool:
    path = Path(name)
    is_kind = suffix(path) in SUFFIXES and suffix(path) not in DATABASES
    return (is_kind and path.is_file()) or _holds_files(path)


def _holds_files(folder: Path) -> bool:
    """Whether files of results lie in a folder, as far as a short look shows."""
    looked = islice(
        ((at, name) for at, _, names in os.walk(folder) for name in names), MOST_LOOKED
    )
    return any(suffix(Path(name)) in (*TEXTS, *PARQUET, *CUBES) for _, name in looked)


def suffix(path: Path) -> str:
    """How a file's name ends, in small letters; without the end of a packed one."""
    lower = path.with_name(path.name.lower()) if path.name else path
    return Path(lower.stem).suffix if lower.suffix == PACKED else lower.suffix
