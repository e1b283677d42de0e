"""From a name to results: of a study in a database, or of files that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from landscape_study.landscapes.reading.cube import SUFFIX, read_own_cube
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.file_results import FileResults
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.panel import NAME
from landscape_study.study.spec.results_files import is_table_file
from landscape_study.study.store import StoreLike, address, opened
from landscape_study.study.store.prior_state import holds
from landscape_study.study.validation import names_of


@contextmanager
def results_of(
    store: StoreLike, names: Sequence[str] | str, columns: Asked | None = None
) -> Iterator[tuple[Results, str]]:
    """The results that a name means, and the name of their study.

    Args:
        store: the database, where it means a study of it.
        names: of a study; or of files with results that were trained elsewhere, panels of one
            study.
        columns: which column of the files is what, as far as it shall not be guessed.

    Raises:
        UsageError: a file that cannot be read or understood, `columns` for a study, or what is no
            name.
    """
    names = texts_of(names)
    files = files_among(store, names)
    if files and files == list(names):
        read = read_results(files, columns)
        yield read, read.spec.name
        return
    if len(names) != 1:
        raise UsageError(f"{', '.join(names)}: name one study, or files of results only")
    if columns is not None and columns != Asked():
        raise UsageError(
            f"options of columns are for files of results, and '{names[0]}' is a study: leave "
            "them out"
        )
    with opened(store) as there:
        yield there, names[0]


def texts_of(names: Sequence[str | PathLike[str]] | str | PathLike[str]) -> tuple[str, ...]:
    """Names of a study or of files, or a single one, as texts or paths; each once.

    Raises:
        UsageError: there are none, or something else was handed over, such as a data frame.
    """
    what = type(names).__name__
    if what in ("DataFrame", "Series"):
        raise UsageError(
            f"a {what} is not taken here, but a study's name, or a file: write it into one with "
            'frame.to_csv("sweep.csv"), and name that; a frame of one panel is taken by '
            "landscape_study.landscapes.statistics.separability.separability(frame, metric)"
        )
    some = [names] if isinstance(names, str | PathLike) else names
    is_some = isinstance(some, list | tuple) and all(isinstance(s, str | PathLike) for s in some)
    if not is_some or not some or names == "":
        raise UsageError(
            f"{str(names)[:80]!r} ({what}): give the name of a study, or paths of files with "
            "results"
        )
    return names_of([fspath(one) for one in some])


def files_among(store: StoreLike, names: Sequence[str]) -> list[str]:
    """The names that mean files or folders of results; none if the first one means a study.

    A study of a plain name comes before a folder that happens to have the same.
    """
    first = names[0]
    if not is_table_file(first) and not Path(first).exists():
        return []
    is_plain = bool(NAME.fullmatch(first)) and not Path(first).suffix
    if is_plain and holds(address(store), first):
        return []
    return [first, *(name for name in names[1:] if is_table_file(name))]


def read_results(
    files: Sequence[str] | str, columns: Asked | None = None, name: str | None = None
) -> FileResults:
    """Read files as one study: of other programs, or one cube that this one exported.

    Args:
        files: their panels are its panels.
        columns: which column is what, as far as it shall not be guessed.
        name: of the study; that of the cube, or of the first file, if None.

    Raises:
        UsageError, SpecError: as `read_foreign` and `read_own_cube`.
    """
    files = texts_of(files)
    own = [
        found
        for file in files
        if Path(file).suffix == SUFFIX and (found := read_own_cube(Path(file), name))
    ]
    if not own:
        return read_foreign(files, columns, name)
    if len(files) > 1:
        raise UsageError(
            f"{own[0].files[0]} is a whole study that was exported: look at it alone, or export "
            "tables (.csv) to put several together"
        )
    return _as_asked(own[0], columns or Asked())


def _as_asked(own: FileResults, asked: Asked) -> FileResults:
    """An exported study with what the user says matters; of its columns nothing is left to say."""
    if replace(asked, matters=None) != Asked():
        raise UsageError(
            f"{own.files[0]} is a study that was exported: its columns are known, leave out "
            f"{' '.join(replace(asked, matters=None).options)}"
        )
    if asked.matters is None:
        return own
    metric = replace(own.spec.metric, matters=asked.matters)
    return replace(own, spec=own.spec.change(metric=metric), asked=asked)
