"""From foreign tables to panels: landscapes of results that were trained elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.column_roles import (
    MOST_PANELS,
    Columns,
    find_columns,
)
from landscape_study.landscapes.reading.foreign.panel_grid import (
    grid_of,
    on_steps,
    without_rounding,
)
from landscape_study.landscapes.reading.foreign.row_filter import selected
from landscape_study.landscapes.reading.foreign.run_curves import (
    Runs,
    one_row_a_run,
    telling_apart,
)
from landscape_study.landscapes.reading.foreign.run_rows import panel_names, rows_of, study_name
from landscape_study.landscapes.reading.foreign.tables.column_names import is_metric_name
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table
from landscape_study.landscapes.reading.foreign.tables.matrices import without_matrix
from landscape_study.landscapes.reading.foreign.tables.run_folders import read_folder
from landscape_study.landscapes.reading.foreign.tables.table_files import read_file
from landscape_study.landscapes.reading.landscape import are_scattered, grid_landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

ROW = "row"  # of a run in its table
CURVES = ("panel", "seed", "alpha", "lambda", "epoch")  # before the metrics


@dataclass(frozen=True)
class Sweep:
    """What was read.

    Attributes:
        panels: a landscape each.
        said: what was understood, in lines.
        study: the name of the only study that a file is of, where it says so.
        counted: what the epochs of curves are in the files, by the names of columns.
        curves: where the files have them: panel, seed, alpha, lambda, epoch, and metrics by the
            names of their columns; a row an epoch of a run.
    """

    panels: tuple[PanelData, ...]
    said: tuple[str, ...]
    study: str | None = None  # what the file calls it, where that is one
    counted: str = "epoch"
    curves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CURVES)))


def read_sweep(paths: Sequence[Path | str], asked: Asked | None = None) -> Sweep:
    """Read a sweep that was run elsewhere; several files are panels of one.

    A cell whose value is NaN or infinite diverged; of what was pruned the value is at least so
    bad; what failed or still runs has none.

    Args:
        paths: files of `table_files.SUFFIXES`, URLs of Optuna's databases, or folders with a file
            or folder a run.
        asked: which column is what, as far as it shall not be guessed.

    Raises:
        UsageError: a file that cannot be read or understood: with file, line and remedy.
    """
    asked = asked or Asked()
    if len(set(map(str, paths))) < len(paths):
        raise UsageError(f"{paths[0]}: the same file is named twice: name it once")
    sweeps = [_one_file(path, asked) for path in paths]
    count = Counter(one.name for sweep in sweeps for one in sweep.panels)
    twice = {name for name, times in count.items() if times > 1}
    files = _labels([str(path) for path in paths])
    named = [_with_file(one, file, twice) for one, file in zip(sweeps, files, strict=True)]
    curves = [sweep.curves for sweep in named if len(sweep.curves)]
    return Sweep(
        tuple(one for sweep in named for one in sweep.panels),
        tuple(line for sweep in named for line in sweep.said),
        named[0].study if len(named) == 1 else None,
        " or ".join(dict.fromkeys(one.counted for one in named if len(one.curves))) or "epoch",
        pd.concat(curves, ignore_index=True) if curves else named[0].curves,
    )


def _one_file(path: Path | str, asked: Asked) -> Sweep:
    is_folder = "://" not in str(path) and Path(path).is_dir()
    read = read_folder(Path(path), asked.wanted) if is_folder else read_file(path, asked.wanted)
    table = selected(without_matrix(read), asked.where)
    study = study_name(table)
    runs = one_row_a_run(table, find_columns(table, asked), asked)
    rows, said = rows_of(runs)
    rows, columns, told = _with_panels(runs.table, runs.columns, rows)
    panels, also = _panels(runs.table, columns, rows)
    understood = replace(columns, panels=runs.columns.panels).said
    lines = (understood, *runs.said, *told, *said, *also)
    return Sweep(
        tuple(panels),
        tuple(f"{read.name}: {line}" for line in lines),
        study,
        runs.table.counted,
        _curves(runs, [one.cells for one in panels]),
    )


def _with_panels(
    table: Table, columns: Columns, rows: pd.DataFrame
) -> tuple[pd.DataFrame, Columns, list[str]]:
    """The rows, in more panels where a setting tells cells apart that stand several times.

    Raises:
        UsageError: there would be more than MOST_PANELS.
    """
    found = [name for name in (columns.seed, *columns.panels) if name is not None]
    base = [columns.alpha, columns.lambda_, *found]
    extra = telling_apart(table.take(rows.index.to_numpy()), base, columns.others)
    if not extra:
        return rows, columns, []
    more = replace(
        columns,
        panels=(*columns.panels, *extra),
        others=tuple(name for name in columns.others if name not in extra),
    )
    names = panel_names(table, more.panels)[rows.index]
    if (count := len(set(names))) > MOST_PANELS:
        raise _too_many_panels(table, more.panels, count)
    too = " too" if columns.panels else ""
    told = f"panels by {' and '.join(extra)}{too}, since cells stand several times without it"
    return rows.assign(panel=names), more, [told]


def _too_many_panels(table: Table, names: Sequence[str], count: int) -> UsageError:
    values = {name: table.columns[name].distinct() for name in names}
    told = " and ".join(f"'{printable(one)}' ({len(values[one])} values)" for one in names)
    one, first = names[-1], values[names[-1]][0]
    shown = printable(first) if table.columns[one].is_numeric else f"'{printable(first)}'"
    several = "" if len(names) > 1 else f", or take them all with --panels-by {printable(one)}"
    return UsageError(
        f"{table.path}: cells stand several times, and {told} would make {count} panels of them, "
        f"at most {MOST_PANELS} are made unasked: choose some with --where, such as "
        f'--where "{printable(one)} == {shown}"{several}'
    )


def _panels(
    table: Table, columns: Columns, rows: pd.DataFrame
) -> tuple[list[PanelData], list[str]]:
    """The panels that have several α and λ, and what is said of them and the others."""
    panels: list[PanelData] = []
    said: list[str] = []
    for name, own in rows.groupby("panel", sort=False):
        own = without_rounding(own)
        single = next((axis for axis in ("alpha", "lambda") if own[axis].nunique() < 2), None)
        if single is not None:
            symbol = "α" if single == "alpha" else "λ"
            said.append(f"panel '{name}' has one {symbol} only: left out")
            continue
        own, copies = _without_copies(table, own, columns)
        _require_once(table, own, columns)
        own, told = on_steps(own)
        said += [*copies, *told]
        panels.append(_panel(columns, str(name), own))
    if not panels:
        raise UsageError(
            f"{table.name}: {said[0].removesuffix(': left out')}: a landscape needs at least two "
            "of each"
        )
    return panels, said


def _panel(columns: Columns, name: str, rows: pd.DataFrame) -> PanelData:
    """One panel: its rows on a grid, and beside it."""
    cells, of_grid = rows.reset_index(names=ROW), rows[~rows["extra"]]
    field = grid_landscape(
        cells[~cells["clipped"] & (cells["state"] == "finished")],
        grid_of(rows),
        columns.metric,
        title=name,
        panel=name,
        is_scattered=are_scattered(of_grid["alpha"], of_grid["lambda"]),
    )
    return PanelData(name, field, cells)


def _without_copies(
    table: Table, rows: pd.DataFrame, columns: Columns
) -> tuple[pd.DataFrame, list[str]]:
    """The rows without those that repeat another to the digit in all that was set and measured.

    A tool may list a run twice: DVC that of the workspace, say.
    """
    measured = [name for name in table.columns if is_metric_name(name)]
    key = table.keys([columns.alpha, columns.lambda_, columns.value, *measured])
    copy = rows.assign(key=key[rows.index]).duplicated(["seed", "key"])
    if not copy.any():
        return rows, []
    first = table.places[rows.index[copy][0]]
    more = f" and {copy.sum() - 1} more" if copy.sum() > 1 else ""
    return rows[~copy], [f"{first}{more}: the same as an earlier row in all numbers, left out"]


def _require_once(table: Table, rows: pd.DataFrame, columns: Columns) -> None:
    """A cell that stands twice is a seed or an error, and never averaged silently."""
    cell = ["alpha", "lambda", "seed"]
    again = rows.duplicated(cell, keep=False)
    if again.any():
        first = rows[again].iloc[0]
        twins = rows.index[(rows[cell] == first[cell]).all(axis=1)]
        place, other = table.places[twins[0]], table.places[twins[1]]
        path, comma, line = other.rpartition(", ")
        seed = f" with seed {first['seed']}" if columns.seed else ""
        raise UsageError(
            f"{place} and {line if place.startswith(path + comma) else other}: α = "
            f"{first['alpha']:g}, λ = {first['lambda']:g}{seed} stands there twice: "
            f"{_remedy(table.take(twins[:2].to_numpy()), columns)}"
        )


def _remedy(twins: Table, columns: Columns) -> str:
    """What makes two rows of a cell different runs."""
    used = {columns.alpha, columns.lambda_, columns.value, columns.seed, *columns.panels}
    free = [name for name in twins.columns if name not in used and not is_metric_name(name)]
    add = "add a column 'seed' that numbers the repeats of each cell"
    leave = "leave one out with --where"
    if any(twins.columns[name].count() > 1 for name in free):
        return (
            "name the column that tells them apart with --seed COLUMN or --panels-by COLUMN, "
            f"{add}, or {leave}"
        )
    return f"no column tells them apart: {add}, or {leave}"


def _curves(runs: Runs, cells: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The curves of the runs that are in a panel, at the α and λ of its cells."""
    steps = runs.table.steps
    if steps is None:
        return Sweep((), ()).curves
    where = pd.concat([own[[ROW, *CURVES[:-1]]] for own in cells])
    curves = steps.merge(where, on=ROW).drop(columns=ROW)
    measured = [name for name in curves.columns if name not in CURVES]
    return curves[[*CURVES, *measured]]


def _labels(paths: list[str]) -> list[str]:
    """The names of files without folders; of several of one name the whole paths."""
    stems = [Path(path).stem for path in paths]
    return [p if stems.count(s) > 1 else s for p, s in zip(paths, stems, strict=True)]


def _with_file(sweep: Sweep, file: str, twice: set[str]) -> Sweep:
    """The panels whose names stand in several files, with that of the file."""
    own = Path(file).stem
    new = {name: file if name == own else f"{file}: {name}" for name in twice}
    return replace(
        sweep,
        panels=tuple(_renamed(one, new.get(one.name, one.name)) for one in sweep.panels),
        curves=sweep.curves.assign(panel=sweep.curves["panel"].replace(new)),
    )


def _renamed(one: PanelData, name: str) -> PanelData:
    return replace(
        one,
        name=name,
        landscape=replace(one.landscape, title=name, panel=name),
        cells=one.cells.assign(panel=name),
    )
