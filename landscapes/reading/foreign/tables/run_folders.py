"""Folders with a file or folder a run: as tools leave them, or with settings in names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from landscape_study.landscapes.reading.foreign.tables.foreign_table import (
    Column,
    Places,
    Table,
    Value,
    joined_tables,
)
from landscape_study.landscapes.reading.foreign.tables.keras_trials import (
    is_keras_trial,
    read_keras_trial,
)
from landscape_study.landscapes.reading.foreign.tables.mlflow_runs import (
    is_mlflow_run,
    read_mlflow_run,
)
from landscape_study.landscapes.reading.foreign.tables.name_settings import settings_in
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.settings_files import load_settings
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder, Wanted
from landscape_study.landscapes.reading.foreign.tables.table_files import read_file
from landscape_study.landscapes.reading.foreign.tables.trainer_runs import (
    is_trainer_run,
    read_trainer_run,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.results_files import DATABASES, PACKED, SUFFIXES, suffix

MOST_FILES = 200_000
SETTINGS = ("params", "config", "hparams", "args", "settings", "hyperparameters", "options")
SETTINGS_FILES = tuple(f"{name}{end}" for name in SETTINGS for end in (".json", ".yaml", ".yml"))
RESULTS = (  # of several files of a run the first one there is
    *("progress", "metrics", "history", "log", "logs", "training_log", "results", "result"),
    *("eval", "val", "validation", "test", "summary", "wandb-summary", "wandb-history", "train"),
)
YAML = (".yaml", ".yml")
NO_RESULTS = ("requirements", "wandb-metadata", "experiment_state", "readme", "environment")
STATUS = "run.json"  # as Sacred writes it
FAILURES = ("error.txt", "error.pkl")  # as Ray Tune leaves them
# Folders of runs that are read as a whole, with the names of the folders that lead there.
TOOLS: dict[Callable[[Path], bool], Callable[[Path, tuple[str, ...]], Table]] = {
    is_mlflow_run: lambda at, parts: read_mlflow_run(at),
    is_trainer_run: read_trainer_run,
    is_keras_trial: lambda at, parts: read_keras_trial(at),
}
RUN = "run"  # column: where a run stands in the folder


@dataclass(frozen=True)
class RunFiles:
    """The files of a run."""

    name: str  # within the folder
    at: Path  # its folder
    settings: dict[str, Value]
    results: Path | None
    place: Path  # what is named where there are no results
    state: str | None = None  # where something else than the results says it


def read_folder(folder: Path, wanted: Wanted | None = None) -> Table:
    """The rows of all runs in a folder, with the settings of each.

    Settings stand in a file beside the results, as config.json; or in the names of files and of
    folders. Files without either are tables, one below the other.

    Raises:
        UsageError: there are no results; a file cannot be read; several could be a run's results.
    """
    tables = list(_tables(folder, wanted))
    if not tables:
        raise UsageError(
            f"{folder}: no results in this folder: expected files that end in one of "
            f"{', '.join(SUFFIXES)}, or runs of Ray Tune, MLflow, Lightning or a Trainer"
        )
    return joined_tables(folder.resolve().name, str(folder), tables)


def _tables(folder: Path, wanted: Wanted | None) -> Iterator[Table]:
    """The rows of each run; of files without settings only where there are no others."""
    there = list(_folders(folder))
    own = {at: read for at, _ in there for is_run, read in TOOLS.items() if is_run(at)}
    others = [(at, names) for at, names in there if not own.keys() & {at, *at.parents}]
    runs = [run for at, names in others for run in _run_in(folder, at, names)]
    above = {at for run in runs for at in run.at.parents}
    runs = [run for run in runs if run.results or run.at not in above]  # not of a group of runs
    for at, read in own.items():
        place = at.relative_to(folder)
        yield _with(read(at, place.parts), {RUN: str(place)})
    for run in runs:
        yield _read(run, wanted)
    if own or runs:
        return
    loose = [at / name for at, names in there for name in names if _is_result(name)]
    for run in _by_names(folder, loose):
        yield _read(run, wanted)


def _folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder below, with its files; hidden ones and links to folders are passed over."""
    count = 0
    for at, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith((".", "checkpoint")))
        count += len(names)
        if count > MOST_FILES:
            raise UsageError(f"{folder}: more than {MOST_FILES} files: name a folder of one sweep")
        yield Path(at), sorted(names)


def _settings_file(at: Path, names: list[str]) -> Path | None:
    """The file with the settings of a run, also where Hydra puts it."""
    found = next((at / name for name in SETTINGS_FILES if name in names), None)
    hydra = at / ".hydra" / "config.yaml"
    return found or (hydra if hydra.is_file() else None)


def _run_in(folder: Path, at: Path, names: list[str]) -> Iterator[RunFiles]:
    """The run whose folder this is, if a file with settings lies in it."""
    settings = _settings_file(at, names)
    if settings is None or at == folder:
        return
    results = _chosen(at, [at / name for name in names if _is_result(name)])
    known = flat(load_settings(settings), "config.")
    yield RunFiles(str(at.relative_to(folder)), at, known, results, settings, _state(at, names))


def _state(at: Path, names: list[str]) -> str | None:
    """What a file beside the results says of the run's end."""
    if any(name in names for name in FAILURES):
        return "failed"
    said = load_settings(at / STATUS).get("status") if STATUS in names else None
    return said if isinstance(said, str) else None


def _by_names(folder: Path, files: list[Path]) -> Iterator[RunFiles]:
    """Runs with settings in their paths; of several files of one run the surest."""
    groups: dict[tuple[tuple[str, Value], ...], list[Path]] = {}
    tables: list[Path] = []
    for file in files:
        settings = settings_in(_parts(folder, file))
        if set(settings) <= {"optimizer"}:
            tables.append(file)
        else:
            groups.setdefault(tuple(sorted(settings.items())), []).append(file)
    for key, own in groups.items():
        alike = len({file.parent for file in own}) == len(own)  # a run each, told apart by folders
        for part in [[file] for file in own] if alike else [own]:
            chosen = _chosen(part[0].parent, part)
            if chosen is not None:
                name = str(chosen.relative_to(folder))
                yield RunFiles(name, chosen.parent, dict(key), chosen, chosen)
    for file in [] if groups else tables:
        settings = settings_in(_parts(folder, file))
        yield RunFiles(str(file.relative_to(folder)), file.parent, settings, file, file)


def _parts(folder: Path, file: Path) -> list[str]:
    """The parts of a file's path within a folder, without how its name ends."""
    *folders, name = file.relative_to(folder).parts
    for end in (PACKED, suffix(file)):
        name = name[: -len(end)] if name.lower().endswith(end) else name
    return [*folders, name]


def _is_result(name: str) -> bool:
    ending = suffix(Path(name))
    is_kind = ending in SUFFIXES and ending not in DATABASES and name not in SETTINGS_FILES
    is_kind = is_kind or (ending in YAML and Path(name).stem.lower() in RESULTS)
    return is_kind and not name.startswith((".", "_")) and not name.lower().startswith(NO_RESULTS)


def _chosen(at: Path, files: list[Path]) -> Path | None:
    """The file with a run's results, of several.

    Raises:
        UsageError: it could be any.
    """
    tables = [file for file in files if suffix(file) not in (".txt", ".dat")]
    files = tables or files  # free text is often called so
    if len(files) < 2:
        return files[0] if files else None
    named = [
        file for stem in RESULTS for file in files if file.name.lower().startswith(f"{stem}.")
    ]
    if not named:
        shown = ", ".join(printable(file.name) for file in files[:5])
        raise UsageError(
            f"{at}: {shown} could each be a run's results: leave one file a run, or call it "
            "metrics"
        )
    return named[0]


def _read(run: RunFiles, wanted: Wanted | None) -> Table:
    """The rows of a run; of one without results a row without value."""
    more = {RUN: run.name, **run.settings}
    if run.results is None or not run.results.stat().st_size:
        where = np.zeros(1, dtype=np.int64)
        place = Places((f"{run.place}, line",), where, where + 1)
        empty = Table(run.name, str(run.place), {}, place)
        return _with(empty, more | {"state": run.state or "running"})
    if run.results.suffix in YAML:
        builder = TableBuilder(f"{run.results}, record")
        builder.add_records([(1, flat(load_settings(run.results)))])
        table = builder.table(run.results)
    else:
        table = read_file(run.results, wanted, single=True)
    return _with(table, more | ({"state": run.state} if run.state else {}))


def _with(table: Table, settings: Mapping[str, Value]) -> Table:
    """A table with more columns, the same in all rows; its own come after."""
    added = {key: Column.of([value] * table.size) for key, value in settings.items()}
    columns = added | {key: column for key, column in table.columns.items() if key not in added}
    return replace(table, columns=columns)
