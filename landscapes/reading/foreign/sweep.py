"""From a foreign table to panels: landscapes of results that were trained elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from landscape_study.landscapes.reading.foreign.column_roles import Asked, Columns, find_columns
from landscape_study.landscapes.reading.foreign.table_files import Table, number, read_table
from landscape_study.landscapes.reading.landscape import are_scattered, grid_landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable
from landscape_study.study.spec.grid import Axis, Grid, unrounded

FINISHED = {"finished", "complete", "completed", "done", "ok", "success", "terminated", ""}
FAILED = {"fail", "failed", "crash", "crashed", "error", "killed", "preempted"}
PRUNED = {"pruned", "stopped"}  # its value is at least this bad


@dataclass(frozen=True)
class Sweep:
    """What was read: the panels, and what was understood."""

    panels: tuple[PanelData, ...]
    said: tuple[str, ...]


def read_sweep(paths: Sequence[Path | str], asked: Asked | None = None) -> Sweep:
    """Read a sweep that was run elsewhere; several files are panels of one.

    A cell whose value is NaN or infinite diverged; of what was pruned the value is at least so
    bad; what failed or still runs has none.

    Args:
        paths: CSV, TSV, JSON or JSON-lines files, a row or record a run.
        asked: which column is what, as far as it shall not be guessed.

    Raises:
        UsageError: a file that cannot be read or understood: with file, line and remedy.
    """
    tables = [read_table(Path(path)) for path in paths]
    panels: list[PanelData] = []
    said: list[str] = []
    for table in tables:
        columns = find_columns(table, asked or Asked())
        said.append(f"{table.name}: {columns.said}")
        rows = _rows(table, columns)
        panels += [
            _panel(table, columns, name, rows[rows["panel"] == name])
            for name in rows["panel"].unique()
        ]
    names = [one.name for one in panels]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"the panel '{twice}' stands in several files: give one of them")
    return Sweep(tuple(panels), tuple(said))


def chosen(panels: Sequence[PanelData], names: Sequence[str], where: str) -> Sequence[PanelData]:
    """The named panels; all of them if none is named.

    Raises:
        UsageError: there is no panel of a name.
    """
    known = {one.name: one for one in panels}
    for name in names:
        if name not in known:
            raise UsageError(f"{where} has no panel '{name}': it has {', '.join(known)}")
    return [known[name] for name in names] or panels


def _rows(table: Table, columns: Columns) -> pd.DataFrame:
    """A row a run: panel, alpha, lambda, seed, state, the metric, diverged, clipped, place."""
    metric = columns.metric
    rows = []
    for row, place in zip(table.rows, table.places, strict=True):
        alpha = _setting(row.get(columns.alpha), place, columns.alpha, least=math.ulp(0.0))
        lambda_ = _setting(row.get(columns.lambda_), place, columns.lambda_, least=0.0)
        state = _state(str(row.get(columns.state) or ""), place) if columns.state else "finished"
        value = _number(row.get(columns.value), place, columns.value)
        if state == "finished" and value is None:
            state = "open"
        known = value if state in ("finished", "pruned") and value is not None else math.nan
        rows.append(
            {
                "panel": _name(row.get(columns.panel), table) if columns.panel else table.name,
                "alpha": alpha,
                "lambda": lambda_,
                "seed": str(row.get(columns.seed)) if columns.seed else "",
                "state": "finished" if state == "pruned" else state,
                metric.name: known,
                "diverged": state == "finished" and not math.isfinite(known),
                "clipped": state == "pruned",
                "place": place,
            }
        )
    frame = pd.DataFrame(rows)
    if not (frame["state"] == "finished").any():
        raise UsageError(f"{table.name}: no row has a result in '{columns.value}'")
    return frame


def _name(value: object, table: Table) -> str:
    return printable(str(value)).strip() if value not in (None, "") else table.name


def _number(value: object, place: str, column: str) -> float | None:
    try:
        return number(value)  # type: ignore[arg-type]
    except ValueError as e:
        shown = printable(str(value))[:40]
        raise UsageError(
            f"{place}: '{shown}' in column {column} is no number: mend it, or leave it empty"
        ) from e


def _setting(value: object, place: str, column: str, least: float) -> float:
    """α or λ of a row."""
    found = _number(value, place, column)
    if found is None or not least <= found < math.inf:
        needed = "positive number" if least else "number of 0 or more"
        shown = "nothing" if found is None else f"{found:g}"
        raise UsageError(f"{place}: {shown} in column {column}, expected a {needed}: mend it")
    return found


def _state(word: str, place: str) -> str:
    """finished, failed, pruned or open."""
    plain = word.strip().lower().rpartition(".")[2]
    if plain in FINISHED:
        return "finished"
    if plain in FAILED:
        return "failed"
    return "pruned" if plain in PRUNED else "open"


def _panel(table: Table, columns: Columns, name: str, rows: pd.DataFrame) -> PanelData:
    """One panel: its rows on a grid."""
    rows = rows.assign(
        **{axis: rows[axis].map(unrounded(rows[axis])) for axis in ("alpha", "lambda")}
    )
    _require_once(rows, columns)
    grid = _grid(rows)
    cells = rows.drop(columns="place").reset_index(drop=True)
    field = grid_landscape(
        cells[~cells["clipped"] & (cells["state"] == "finished")],
        grid,
        columns.metric,
        title=name,
        panel=name,
        is_scattered=are_scattered(rows["alpha"], rows["lambda"]),
    )
    return PanelData(name, field, cells)


def _require_once(rows: pd.DataFrame, columns: Columns) -> None:
    """A cell that stands twice is a seed or an error, and never averaged silently."""
    again = rows.duplicated(["alpha", "lambda", "seed"], keep=False)
    if again.any():
        first = rows[again].iloc[0]
        twins = rows[
            (rows["alpha"] == first["alpha"])
            & (rows["lambda"] == first["lambda"])
            & (rows["seed"] == first["seed"])
        ]["place"].tolist()
        seed = f" with seed {first['seed']}" if columns.seed else ""
        raise UsageError(
            f"{twins[0]} and {twins[1].rpartition(', ')[2]}: α = {first['alpha']:g}, λ = "
            f"{first['lambda']:g}{seed} stands there twice: name the column that tells them apart "
            "with --seed COLUMN, or leave one out"
        )


def _grid(rows: pd.DataFrame) -> Grid:
    """The grid of all values that occur; of a scattered design, few of its cells."""
    alphas, lambdas = sorted(set(rows["alpha"])), sorted(set(rows["lambda"]))
    return Grid(alpha=_axis(alphas), lambda_=_axis(lambdas))


def _axis(values: list[float]) -> Axis:
    """The values of an axis; halves, quarters … of the largest are written as such."""
    largest = values[-1] or 1.0
    halved = all(math.log2(value / largest).is_integer() for value in values if value > 0)
    return Axis(values=tuple(values), base=largest if halved else 1.0)
