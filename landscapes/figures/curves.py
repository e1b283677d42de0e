"""Learning curves of cells: mean over seeds, with a band of one standard error.

    plot_curves = curves_record, draw_curves

Shapes: E epochs, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from landscape_study.landscapes.figures.axis_ranges import is_logarithmic
from landscape_study.landscapes.figures.style import (
    INK,
    TEXT,
    TICK,
    alarm,
    decimal,
    ticks,
    value_axis,
)
from landscape_study.landscapes.reading.curve_counter import EPOCH, counter, counter_title
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT, MARK, marked
from landscape_study.study.spec.cell_numbers import ALPHA, LAMBDA, OTHERS, number_called
from landscape_study.study.spec.metric import METRICS, TEST_ERROR, TOP5, TOP5_CLASSES, Metric
from landscape_study.study.spec.study import Cell, Grid

COLORS = (  # seaborn's "colorblind": to import it takes 0.7 s
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#949494",
    "#ece133",
    "#56b4e9",
)
STYLES = ("-", "--", "-.", ":")
MOST = 20  # curves that can be told apart by colour and style


@dataclass(frozen=True)
class Curve:
    """One cell's learning curve; it ends before the first epoch that some seed has no value of."""

    label: str
    epochs: tuple[float, ...]  # [E] or what else the curves count
    mean: tuple[float, ...]  # [E] over seeds
    stderr: tuple[float, ...]  # [E] standard error over seeds; 0 for one seed
    diverged: bool  # whether it ends early


@dataclass(frozen=True)
class CurvesRecord:
    """What `plot_curves` draws."""

    curves: tuple[Curve, ...]
    y_title: str
    log: bool  # whether the y axis is logarithmic
    x_title: str = EPOCH  # what the curves count
    doubt: str = ""  # that the witness of a panel disagrees


def plot_curves(
    curves: pd.DataFrame,
    *,
    metric: str | Metric = TEST_ERROR,
    cells: Iterable[Cell | tuple[float, float]] | None = None,
    grid: Grid | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw learning curves of cells, mean over seeds with a band of ± one standard error.

    A curve ends, with a cross, where the first of its seeds diverges: a mean of those that
    live on would look better than the cell is.

    Args:
        curves: one row per panel, alpha, lambda, seed and epoch, with the metrics; NaN after
            divergence. Where it holds several panels, the legend names them. A column doubtful
            says whether a panel is to be marked.
        metric: "train_loss", "test_loss" (both on a logarithmic axis), "test_error" or
            "top5_error" (percent); or another one, whose name is a column.
        cells: (α, λ) of the curves, in the order of the legend; all of the frame if None.
        grid: of the panel; its bases make the legend read as the heatmap's ticks do.
        ax: where; the current axes if None.

    Raises:
        UsageError: an unknown metric or one that the task does not have, a cell that has no
            curve, or too many cells.
    """
    record = curves_record(curves, metric=metric, cells=cells, grid=grid)
    return draw_curves(record, plt.gca() if ax is None else ax)


def curves_record(
    curves: pd.DataFrame,
    *,
    metric: str | Metric = TEST_ERROR,
    cells: Iterable[Cell | tuple[float, float]] | None = None,
    grid: Grid | None = None,
) -> CurvesRecord:
    """Say what `plot_curves` draws."""
    metric = _known(metric)
    require_recorded(curves, metric)
    if _goes_on(curves, metric):
        alive = curves[metric.name].where(curves["train_loss"].notna())
        curves = curves.assign(**{metric.name: alive})
    known = _cells_of(curves, grid)
    chosen = sorted(known) if cells is None else [_cell(cell) for cell in cells]
    panels = list(dict.fromkeys(curves["panel"]))
    doubtful = {*curves["panel"][curves["doubtful"].eq(True)]} if "doubtful" in curves else set()
    drawn: list[Curve] = []
    for cell in chosen:
        rows = rows_of(curves, cell)
        if rows.empty:
            raise UsageError(_unknown_cell(cell, sorted(known)))
        for panel in panels:
            own = rows[rows["panel"] == panel]
            last = float(curves.loc[curves["panel"] == panel, counter(curves)].max())
            name = marked(panel, panel in doubtful)
            label = (f"{name}, " if len(panels) > 1 else "") + cell_label(cell, grid)
            if not own.empty:
                drawn.append(_curve(own, metric.name, label, last))
    if len(drawn) > MOST:
        raise UsageError(
            f"{len(drawn)} curves cannot be told apart: name at most {MOST} cells, "
            "such as cells=[(0.1, 0.001), (0.05, 0.001)]"
        )
    return CurvesRecord(
        curves=tuple(drawn),
        y_title=metric.label,
        log=is_logarithmic(metric, (value for curve in drawn for value in curve.mean)),
        x_title=counter_title(curves),
        doubt=f"{MARK} {DOUBT}" if doubtful else "",
    )


def _known(metric: str | Metric) -> Metric:
    """The metric of a name."""
    if isinstance(metric, Metric):
        return metric
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}': choose one of {', '.join(METRICS)}")
    return METRICS[metric]


def _goes_on(curves: pd.DataFrame, metric: Metric) -> bool:
    """Whether values after divergence are to be left out: the training loss says where.

    Errors go on at chance level then, which is no learning curve. What was trained elsewhere may
    have no training loss.
    """
    if metric.name == "train_loss" or "train_loss" not in curves:
        return False
    return metric.name in METRICS or bool(curves["train_loss"].notna().any())


def require_recorded(curves: pd.DataFrame, metric: Metric) -> None:
    """Check that the metric was recorded by epoch, as far as the curves show.

    Raises:
        UsageError: Top-5 errors of a task of few classes, or a metric without a column.
    """
    # Errors are recorded of diverged cells too, so that missing ones were never recorded.
    name, recorded = metric.name, metric.name in curves and not curves[metric.name].isna().all()
    if name == TOP5 and len(curves) > 0 and not recorded:
        raise UsageError(
            f"no {metric.label} was recorded: the task has at most {TOP5_CLASSES} classes: "
            "choose another metric, such as test_error"
        )
    if name not in METRICS and len(curves) > 0 and name not in curves:
        there = ", ".join(known for known in METRICS if known in curves)
        raise UsageError(
            f"no {metric.label} was recorded by epoch, there is no column '{name}': choose "
            f"another metric{f', such as {there}' * bool(there)}"
        )


def _cells_of(curves: pd.DataFrame, grid: Grid | None) -> set[Cell]:
    """The cells that have curves; `grid` says which numbers they have beside α and λ."""
    more = [name for name, _ in grid.more] if grid else OTHERS
    own = [name for name in more if name in curves]
    return {
        Cell(
            float(alpha),
            float(lambda_),
            tuple((n, float(x)) for n, x in zip(own, more, strict=True) if not math.isnan(x)),
        )
        for alpha, lambda_, *more in curves[["alpha", "lambda", *own]].drop_duplicates().to_numpy()
    }


def _cell(cell: Cell | tuple[float, float]) -> Cell:
    return cell if isinstance(cell, Cell) else Cell(*cell)


def rows_of(curves: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of one cell."""
    found = _near(curves["alpha"], cell.alpha) & _near(curves["lambda"], cell.lambda_)
    for name, value in cell.own:
        found &= _near(curves[name], value)
    return curves[found]


def _near(column: pd.Series, value: float) -> pd.Series:
    """Tell which entries are `value`, but for the last digits that a database may round."""
    close = np.isclose(column.to_numpy(dtype=float), value, rtol=1e-9, atol=0.0)
    return pd.Series(close, index=column.index)


def cell_label(cell: Cell, grid: Grid | None) -> str:
    """Name a cell, as in a legend: "α = 1/64 × 0.1, λ = 1/4 × 0.001"."""
    own = [name for name, _ in cell.own]
    names = grid.names if grid else [ALPHA, LAMBDA, *own]
    numbers = ((name, _name(cell.value(name), name, grid)) for name in names)
    return ", ".join(f"{number_called(name).symbol} = {value}" for name, value in numbers)


def _name(value: float, of: str, grid: Grid | None) -> str:
    axis = grid.axis(of) if grid else None
    for known, name in zip(axis.values, ticks(axis, name=of).names, strict=True) if axis else ():
        if math.isclose(known, value, rel_tol=1e-9):
            return name
    return decimal(value)


def _unknown_cell(cell: Cell, known: Sequence[Cell]) -> str:
    some = "; ".join(cell_label(one, None) for one in known[:3]) + (
        "; …" if len(known) > 3 else ""
    )
    return f"no curve of {cell_label(cell, None)}: " + (
        f"choose among {some}" if known else "the frame is empty: no cell has finished"
    )


def _curve(rows: pd.DataFrame, metric: str, label: str, last: float) -> Curve:
    """Average the seeds of a cell, up to the first epoch that one of them has no value of.

    Epochs that were evaluated for no seed are left out, so that a metric may be sparse.
    `last` is the epoch that a full curve ends with. Where seeds were logged at different steps,
    the first point of each is averaged with the first of the others, and so on, at their median.
    """
    name = counter(rows)
    ordered = rows.sort_values(["seed", name], kind="stable")
    number = ordered.groupby("seed").cumcount()
    ordered = ordered.assign(**{name: ordered[name].groupby(number).transform("median")})
    wide = ordered.pivot_table(metric, name, "seed", aggfunc="mean", dropna=False)  # [E, S]
    values = wide.to_numpy(dtype=float)
    finite = np.isfinite(values)
    some = finite.any(axis=1)
    whole = np.logical_and.accumulate(finite.all(axis=1)[some])
    epochs, values = wide.index.to_numpy()[some][whole], values[some][whole]
    seeds = values.shape[1]
    stderr = values.std(axis=1, ddof=1) / math.sqrt(seeds) if seeds > 1 else 0 * values[:, 0]
    return Curve(
        label=label,
        epochs=tuple(epochs.tolist()),
        mean=tuple(values.mean(axis=1).tolist()),
        stderr=tuple(stderr.tolist()),
        diverged=epochs.size == 0 or float(epochs[-1]) < last,
    )


def draw_curves(record: CurvesRecord, ax: Axes) -> Axes:
    """Draw `record`: a line, a band and, where it diverged, a cross per curve."""
    for i, curve in enumerate(record.curves):
        color = COLORS[i % len(COLORS)]
        mean, stderr = np.array(curve.mean), np.array(curve.stderr)
        label = curve.label + (", diverged" if curve.diverged else "")
        style = STYLES[(i + i // len(COLORS)) % len(STYLES)]
        ax.plot(curve.epochs, mean, style, color=color, linewidth=1.4, label=label)
        if stderr.any():
            ax.fill_between(
                curve.epochs, mean - stderr, mean + stderr, color=color, alpha=0.2, linewidth=0
            )
        if curve.diverged and curve.epochs:
            ax.plot(curve.epochs[-1:], mean[-1:], "X", color=color, markeredgecolor=INK)
    if record.log:
        ax.set_yscale("log")
    else:
        value_axis(ax.yaxis)
    ax.set_xlabel(record.x_title, fontsize=TEXT)
    ax.set_ylabel(record.y_title, fontsize=TEXT)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.tick_params(which="both", labelsize=TICK)
    ax.spines[["top", "right"]].set_visible(False)
    if record.doubt:
        alarm([ax.set_title(record.doubt, loc="left", fontsize=TEXT)])
    if record.curves:
        alarm(ax.legend(frameon=False, fontsize=TICK).get_texts())
    return ax
