"""From the database to tidy pandas frames: one row per cell, one row per cell and epoch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.curve_counter import with_counter
from landscape_study.landscapes.reading.panel_axes import are_beside
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reading.timescales import panel_timescale, training_examples
from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.spec.cell_numbers import from_text, ordered
from landscape_study.study.spec.study import Study
from landscape_study.study.store.queries import PanelCell
from landscape_study.study.store.stored_cells import belonging, place_of

CELL_COLUMNS = (
    "study",
    "panel",
    "pair",
    "schedule",
    "epochs",
    "normalized",
    "seed",
    "alpha",
    "lambda",
    "state",
    "test_error",
    "test_loss",
    "train_loss",
    "diverged",
    "diverged_epoch",
    "clipped",
    "extra",
    "timescale",
    "seconds",
    "trial",
    "attempts",
    "doubtful",
)
CURVE_COLUMNS = (
    "study",
    "panel",
    "seed",
    "alpha",
    "lambda",
    "epoch",
    "train_loss",
    "test_loss",
    "test_error",
    "top5_error",
    "doubtful",
)


def cells_frame(store: Results, name: str) -> pd.DataFrame:
    """Every cell of the study, one row each, whatever its state.

    Columns: study, panel, pair, schedule, epochs, normalized, seed, alpha, lambda (and what else
    is an axis of a panel, such as beta2; NaN in other panels), state
    (finished, running, pruned, failed, open), test_error or what else is the study's metric (NaN
    unless finished or pruned; if diverged, errors in percent are at chance level, all else is
    NaN), test_loss and train_loss (NaN too where diverged), diverged, diverged_epoch (from 1,
    else missing), clipped (the truth is at least this bad: pruned), extra (whether it lies beside
    the grid, as `landscape refine` adds cells), timescale
    (epochs that the weights remember, see `pairs.timescale`; infinite for λ = 0, NaN where it is
    not known: trained elsewhere, or by a former version), seconds (worker time), trial
    (number in the Optuna study), attempts, doubtful (whether the witness of its panel disagrees).
    Under warm restarts, values are those at the end of the last whole cycle, and what diverges
    after it does not count as diverged.

    Raises:
        UsageError: the database holds no such study.
    """
    study = store.study(name)
    rows = _of_grids(study, store.cells(name))
    stored = [*_stored(CELL_COLUMNS), "own", "value"]
    frame = _with_own_numbers(pd.DataFrame(rows, columns=stored).assign(study=name), study)
    for column in ("value", "test_loss", "train_loss", "seconds"):
        frame[column] = frame[column].astype(float)
    frame[study.metric.name] = frame["value"].where(np.isfinite(frame["value"]))
    epoch = frame["diverged_epoch"].astype("Int64")
    frame["diverged"] = (epoch != 0).fillna(False).astype(bool)
    frame["diverged_epoch"] = epoch.where(epoch > 0)
    frame["clipped"] = frame["state"] == "pruned"
    frame["extra"] = _extra(frame, study)
    frame = frame.merge(_panel_facts(study), on="panel", how="left")
    frame["timescale"] = _timescales(frame, store, study)
    frame["doubtful"] = frame["panel"].isin(_doubtful(store, name))
    return _in_panel_order(frame, study)[_columns(CELL_COLUMNS, study)]


def curves_frame(
    store: Results, name: str, cells: Collection[PanelCell] | None = None
) -> pd.DataFrame:
    """The curves of all finished cells, or of some at least, one row per cell and epoch.

    Columns: study, panel, seed, alpha, lambda, epoch (from 1; of files what they count, by its
    own name and numbers, such as step), train_loss, test_loss,
    test_error and top5_error (percent; the latter NaN for tasks of few classes), doubtful (whether
    the witness of its panel disagrees), then what was measured elsewhere. Losses are NaN from the
    epoch of divergence on.

    Raises:
        UsageError: the database holds no such study.
    """
    study = store.study(name)
    rows = _without_pruned(store, name, _of_grids(study, store.curves(name, cells)))
    if not rows:
        return pd.DataFrame(columns=_with_columns(CURVE_COLUMNS, study))
    wide = _by_epoch(rows, "metric", study).assign(study=name)
    wide["doubtful"] = wide["panel"].isin(_doubtful(store, name))
    known = _with_columns(CURVE_COLUMNS, study)
    own = sorted(str(column) for column in wide if column not in known)
    wide = wide.reindex(columns=[*known, *own])
    return _in_panel_order(with_counter(wide) if study.is_imported else wide, study)


def mechanism_frame(store: Results, name: str) -> pd.DataFrame:
    """What happened inside of all finished cells, one row per cell and epoch.

    Columns: study, panel, seed, alpha, lambda, epoch (from 1), weight_norm, gradient_norm,
    update_norm, clipped_share (see `pairs.meter`; NaN where nothing was clipped), doubtful
    (whether the witness of its panel disagrees). NaN from the epoch of divergence on. Without
    rows where nothing was recorded: trained elsewhere, or by a former version.

    Raises:
        UsageError: the database holds no such study.
    """
    study = store.study(name)
    rows = _without_pruned(store, name, _of_grids(study, store.mechanism(name)))
    plain = ("study", "panel", "seed", "alpha", "lambda", "epoch", *MECHANISM, "doubtful")
    columns = _with_columns(plain, study)
    if not rows:
        return pd.DataFrame(columns=columns)
    wide = _by_epoch(rows, "quantity", study).assign(study=name)
    wide["doubtful"] = wide["panel"].isin(_doubtful(store, name))
    return _in_panel_order(wide.reindex(columns=columns), study)


def _by_epoch(rows: list[dict[str, Any]], kind: str, study: Study) -> pd.DataFrame:
    """Curves as a frame of a row per cell and epoch, and a column for each `kind` of them."""
    lengths = [len(row["values"]) for row in rows]
    identity = ["panel", "seed", "alpha", "lambda", "own"]
    rows = [row | {"own": row.get("own") or ""} for row in rows]
    frame = pd.DataFrame(
        {key: np.repeat([row[key] for row in rows], lengths) for key in [*identity, kind]}
    )
    frame["epoch"] = np.concatenate([np.arange(1, n + 1) for n in lengths])
    frame["value"] = np.concatenate([row["values"] for row in rows])
    wide = frame.set_index([*identity, "epoch", kind])["value"].unstack(kind)
    return _with_own_numbers(wide.reset_index().rename_axis(columns=None), study)


def own_numbers(study: Study) -> list[str]:
    """The numbers beside α and λ that are axes of some panel of the study."""
    return ordered({name for panel in study.panels for name, _ in panel.grid.more})


def _with_own_numbers(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """A frame with a column for each other number, after λ; NaN where a panel has none."""
    own = [dict(from_text(text if isinstance(text, str) else "")) for text in frame["own"]]
    frame = frame.drop(columns="own")
    after = list(frame.columns).index("lambda") + 1
    for name in own_numbers(study)[::-1]:
        frame.insert(after, name, [one.get(name, math.nan) for one in own])
    return frame


def _of_grids(study: Study, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the study's cells.

    Of two values that differ by rounding, an older version kept both; one of them is the grid's.
    """
    belongs = belonging(study)
    return [row for row in rows if belongs(place_of(row))]


def _without_pruned(store: Results, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the curves of pruned cells that end before others: as if these had diverged."""
    pruned = {place_of(row) for row in store.cells(name) if row["state"] == "pruned"}
    if not pruned:
        return rows
    whole: Counter[str] = Counter()  # points of a curve, by panel
    for row in rows:
        whole[row["panel"]] = max(whole[row["panel"]], len(row["values"]))
    return [
        row
        for row in rows
        if place_of(row) not in pruned or len(row["values"]) == whole[row["panel"]]
    ]


def _columns(columns: tuple[str, ...], study: Study) -> list[str]:
    """The columns of a frame, with the study's metric in the place of the test error."""
    named = (study.metric.name if column == "test_error" else column for column in columns)
    return _with_columns(tuple(dict.fromkeys(named)), study)


def _with_columns(columns: tuple[str, ...], study: Study) -> list[str]:
    """The columns of a frame, with those of other numbers after λ."""
    after = columns.index("lambda") + 1
    return [*columns[:after], *own_numbers(study), *columns[after:]]


def _stored(columns: tuple[str, ...]) -> list[str]:
    """The columns that come from the store's cells as they are there."""
    of_panel = {"study", "pair", "schedule", "epochs", "normalized", "doubtful"}
    derived = {"test_error", "diverged", "clipped", "extra", "timescale"}
    return [c for c in columns if c not in of_panel | derived]


def _doubtful(store: Results, name: str) -> list[str]:
    """The panels whose witness disagrees."""
    return [witness.panel for witness in store.witnesses(name) if not witness.agrees]


def _extra(frame: pd.DataFrame, study: Study) -> pd.Series:
    """Whether each row is of a cell beside the grid of its panel."""
    found = pd.Series(False, index=frame.index)
    for panel in study.panels:
        own = frame[frame["panel"] == panel.name]
        found[own.index] = are_beside(own, panel)
    return found


def _timescales(frame: pd.DataFrame, store: Results, study: Study) -> list[float]:
    """Of each row, epochs."""
    examples = training_examples(store, study)
    known = {panel.name: panel_timescale(study, panel, examples) for panel in study.panels}
    return [
        math.nan if (own := known[panel]) is None else own.epochs(alpha, lambda_)
        for panel, alpha, lambda_ in zip(
            frame["panel"], frame["alpha"], frame["lambda"], strict=True
        )
    ]


def _panel_facts(study: Study) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "panel": panel.name,
                "pair": panel.pair,
                "schedule": None if panel.is_labelled else panel.schedule.label,
                "epochs": panel.epochs,
                "normalized": panel.normalized,
            }
            for panel in study.panels
        ]
    )


def _in_panel_order(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Rows by panel in the study's order, then seed and numbers; epochs in their order."""
    order = {panel.name: i for i, panel in enumerate(study.panels)}
    numbers = ("alpha", "lambda", *own_numbers(study))
    keys = [key for key in ("seed", *numbers) if key in frame]
    ranked = frame.assign(_panel=frame["panel"].map(order)).sort_values(
        ["_panel", *keys], kind="stable"
    )
    return ranked.drop(columns="_panel").reset_index(drop=True)
