"""Results as files for other programs: tables, sweeps as Weights & Biases has them, cubes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from landscape_study.landscapes.reading.cube import SUFFIX, write_cube
from landscape_study.landscapes.reading.foreign.foreign_study import column_name, panel_names
from landscape_study.landscapes.reading.foreign.tables.foreign_table import FORMULAS
from landscape_study.landscapes.reading.frames import (
    cells_frame,
    curves_frame,
    mechanism_frame,
    own_numbers,
)
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.study.errors import StoreError, UsageError
from landscape_study.study.spec.study import Study

What = Literal["cells", "curves", "mechanism", "wandb"]

STATES = {"finished": "finished", "failed": "failed", "pruned": "pruned"}  # all else is running


def wandb_frame(results: Results, name: str) -> pd.DataFrame:
    """The cells of a study as a table of Weights & Biases has a sweep, one row a run.

    Columns: Name, State, Group (the panel), optimizer (the panel), lr, weight_decay, what else is
    an axis of a panel, seed, epochs where they are known, extra where a grid is refined (whether
    it lies beside it), and the metric, NaN where it diverged. What came from files is called there
    as it was in them: panels in the column optimizer, and the metric.

    Raises:
        UsageError: there is no such study.
    """
    cells, study = cells_frame(results, name), results.study(name)
    metric = study.metric.name
    value = cells[metric].astype(object).where(cells[metric].notna(), None)
    run = cells["panel"] + "-seed" + cells["seed"].astype(str) + "-" + cells.index.astype(str)
    return pd.DataFrame(
        {
            "Name": run,
            "State": cells["state"].map(STATES).fillna("running"),
            "Group": cells["panel"],
            "optimizer": cells["panel"].replace(_labels(study)),
            "lr": cells["alpha"],
            "weight_decay": cells["lambda"],
            **{number: cells[number] for number in own_numbers(study)},
            "seed": cells["seed"],
            **({"epochs": cells["epochs"]} if cells["epochs"].notna().any() else {}),
            **({"extra": cells["extra"]} if cells["extra"].any() else {}),
            _metric_label(study): value.mask(cells["diverged"], "NaN"),
        }
    )


def _labels(study: Study) -> dict[str, str]:
    """What files call the panels, by name; nothing where that would be read as other panels."""
    labels = [panel.pair for panel in study.panels if panel.is_imported]
    names, own = panel_names(labels), [panel.name for panel in study.panels]
    return dict(zip(own, labels, strict=True)) if list(names.values()) == own else {}


def _metric_label(study: Study) -> str:
    """What the file calls the metric, if that is read as its name; else the name."""
    metric = study.metric
    called = metric.label if metric.unit == "%" else metric.title
    return called if study.is_imported and column_name(called) == metric.name else metric.name


FRAMES: dict[What, Callable[[Results, str], pd.DataFrame]] = {
    "cells": cells_frame,
    "curves": curves_frame,
    "mechanism": mechanism_frame,
    "wandb": wandb_frame,
}


def write_export(results: Results, name: str, path: Path, what: What = "cells") -> str:
    """Write the results of a study into a file; return what it holds, for people.

    Args:
        results: where the study is.
        name: of the study.
        path: ends in .csv or .parquet, or in .nc for a cube of everything.
        what: the table.

    Raises:
        UsageError: another ending, no such table or study, or a package is not installed.
        StoreError: the file cannot be written.
    """
    if what not in get_args(What):
        raise UsageError(f"no table '{what}': choose one of {', '.join(get_args(What))}")
    if path.suffix == SUFFIX:
        if what != "cells":
            raise UsageError(f"{path}: a cube holds everything: leave out --what, or name a .csv")
        write_cube(results, name, path)
        return "a cube of cells and curves"
    frame = FRAMES[what](results, name)
    write_table(frame, path)
    return f"{len(frame)} rows"


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV or Parquet, by the path's suffix; a CSV holds no formulas.

    Raises:
        UsageError: another suffix.
        StoreError: the file cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"{path}: ends neither in .csv nor in .parquet, nor in .nc for a cube: rename it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            _without_formulas(frame).to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
    except OSError as e:
        raise StoreError(f"{path}: cannot be written ({e.strerror}): name another file") from e


def _without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text that a spreadsheet would run."""
    safe = frame.copy()
    for column in frame.columns[
        [not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    ]:
        safe[column] = frame[column].map(plain_text)
    return safe.rename(columns=plain_text)


def plain_text(value: object) -> object:
    """The value; if it is text that a spreadsheet would run, with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
