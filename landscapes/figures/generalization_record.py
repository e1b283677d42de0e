"""What generalization figures show: whether equal training loss means equal test error.

Records of the paper's Figure 3, drawn by `figures.generalization`: of each panel the cells of
one α, that of its best cell, from small λ to large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.landscapes.figures.axis_ranges import seen_range, with_margins
from landscape_study.landscapes.figures.best_runs import best_runs, best_sentences, gap_sentences
from landscape_study.landscapes.figures.curves import Curve, curves_record, rows_of
from landscape_study.landscapes.figures.sizes import fitting_columns, paper_width
from landscape_study.landscapes.figures.style import decimal, lambda_title, ticks
from landscape_study.landscapes.reading.curve_counter import EPOCH, counter, counter_title
from landscape_study.landscapes.reading.foreign.tables.column_names import training_loss
from landscape_study.landscapes.reading.landscape import landscape, top_cells
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.restarts import NOISE, ONE_SEED
from landscape_study.landscapes.statistics.units import Floats, Units, joint_units
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import METRICS, TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell

ROOM = 0.7  # inches that an axes is wider than a readable heatmap
MULTIPLE = 2.0  # errors above the best that are shown, in multiples of it
FAR = 12.0  # points from the best that are shown of other metrics
FARTHEST = 100.0  # likewise, of values that count where panels are compared
AXES = 4
STEPS = 21  # training losses at which two panels are compared
MARGIN = 0.06  # of the axis of final values, below and above
TRAIN_LOSS = METRICS["train_loss"]
NO_LOSS = "No training loss was recorded"


@dataclass(frozen=True)
class Final:
    """Means over seeds at the epoch that counts."""

    loss: float  # of training
    error: float  # value of the metric
    stderr: float  # likewise; 0 for one seed


@dataclass(frozen=True)
class Member:
    """A cell: its curves, and where they end."""

    name: str  # of its λ, as ticks have it
    lambda_: float
    shade: float  # 0 for the smallest λ to 1
    loss: Curve  # training loss
    error: Curve
    final: Final | None  # None where it diverged


@dataclass(frozen=True)
class Family:
    """The cells of a panel at one α, ascending in λ."""

    title: str  # of the panel and its α
    lambda_title: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class GeneralizationRecord:
    """What a generalization figure shows: four axes and a strip of shades per family."""

    families: tuple[Family, ...]
    error_title: str
    factor_title: str  # of the axis of λ
    loss_range: tuple[float, float] | None  # None where nothing has finished
    error_range: tuple[float, float] | None  # of the metric by epoch
    final_range: tuple[float, float] | None  # of its final values
    headline: tuple[str, ...]
    columns: int
    width: float | None = None  # inches of the figure
    metric: Metric = TEST_ERROR
    log: bool = True  # whether axes of the training loss are logarithmic: none is below 0
    x_title: str = EPOCH  # what the curves count

    @property
    def members(self) -> tuple[Member, ...]:
        """The cells of all families."""
        return tuple(member for family in self.families for member in family.members)

    @property
    def worst(self) -> float:
        """The end of the axis of final values beyond which worse ones lie; ±inf if none does."""
        sign = self.metric.sign
        return sign * math.inf if self.final_range is None else self.final_range[sign > 0]

    def is_beyond(self, final: Final) -> bool:
        """Whether a final value is worse than what its axis shows."""
        return self.metric.sign * (final.error - self.worst) > 0


def generalization_record(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    columns: int | None = None,
    width: float | str | None = None,
) -> GeneralizationRecord:
    """Say what `plot_generalization` draws."""
    for one in panels:
        if not one.landscape.is_usual:
            axes = " and ".join(one.landscape.symbols)
            raise UsageError(
                f"panel '{one.name}': its axes are {axes}, and generalization is shown over λ at "
                "the best α: draw another kind of figure"
            )
    panels, curves = _with_training_losses(panels, curves)
    inches = None if width is None else paper_width(width)
    columns = columns or (2 if inches is None else min(fitting_columns(inches, legend=ROOM), 2))
    families = [_family(one, curves[curves["panel"] == one.name]) for one in panels]
    members = [member for family in families for member in family.members]
    finals = [member.final for member in members if member.final is not None]
    left_out = any(member.lambda_ == 0 for member in members)
    names = dict.fromkeys(family.lambda_title.partition(" (")[0] for family in families)
    losses = [member.loss.mean for member in members]
    errors = [member.error.mean for member in members]
    log = not any(value < 0 for loss in losses for value in loss)
    units = joint_units([one.landscape for one in panels])
    seen = _final_range(finals, units)
    worst = [] if seen is None else [seen[units.metric.sign > 0]]
    return GeneralizationRecord(
        families=tuple(families),
        error_title=units.metric.label,
        factor_title=" or ".join(names) + " (0 left out)" * left_out,
        loss_range=seen_range(
            losses, [final.loss for final in finals], log=log, metric=TRAIN_LOSS
        ),
        error_range=seen_range(errors, worst, metric=units.metric),
        final_range=seen,
        headline=_sentences(panels, curves),
        columns=min(columns, AXES),
        width=inches,
        metric=units.metric,
        log=log,
        x_title=counter_title(curves),
    )


def _with_training_losses(
    panels: Sequence[PanelData], curves: pd.DataFrame
) -> tuple[list[PanelData], pd.DataFrame]:
    """The same with a column train_loss, in cells that lack it the last one of their curves.

    What was trained elsewhere may call it otherwise, such as "loss/train", and has it by epoch.
    """
    name = TRAIN_LOSS.name
    if name not in curves or curves[name].isna().all():
        metric = panels[0].metric.name if panels else ""
        other = training_loss([str(one) for one in curves.columns if one != name], metric)
        curves = curves.assign(**{name: math.nan if other is None else curves[other]})
    run = ["panel", "alpha", "lambda", "seed"]
    known = curves[curves[name].notna()].reindex(columns=[*run, counter(curves), name])
    last = known.sort_values(counter(curves)).drop_duplicates(run, keep="last")
    return [_with_last_loss(one, last) for one in panels], curves


def _with_last_loss(one: PanelData, last: pd.DataFrame) -> PanelData:
    name, keys = TRAIN_LOSS.name, ["alpha", "lambda", "seed"]
    own = one.cells[name] if name in one.cells else pd.Series(math.nan, index=one.cells.index)
    if own.notna().any():
        return replace(one, cells=one.cells.assign(**{name: own}))
    ends = last[last["panel"] == one.name].set_index(keys)[name]
    places = pd.MultiIndex.from_frame(one.cells[keys])
    return replace(one, cells=one.cells.assign(**{name: ends.reindex(places).to_numpy()}))


def _family(one: PanelData, curves: pd.DataFrame) -> Family:
    """The cells of a panel at the α of its best cell; of its first α where there is none."""
    field = one.landscape
    names = ticks(field.columns, field.grid.columns)
    row, alpha = _alpha(one)
    loss = _final_losses(one)[row]
    members = []
    for col, lambda_ in enumerate(field.columns.values):
        if not field.n[row, col]:
            continue
        cell, diverged = Cell(alpha, lambda_), bool(field.diverged[row, col])
        own = rows_of(curves, cell)
        error, stderr = float(field.error[row, col]), float(np.nan_to_num(field.stderr[row, col]))
        members.append(
            Member(
                name=names.labels[col],
                lambda_=lambda_,
                shade=col / max(len(field.columns.values) - 1, 1),
                loss=_curve(own, TRAIN_LOSS, cell),
                error=_curve(own, field.metric, cell),
                final=None if diverged else Final(float(loss[col]), error, stderr),
            )
        )
    some = "" if len(field.rows.values) == 1 else ", its best one"
    return Family(
        title=f"{one.title}, α = {ticks(field.rows, field.grid.rows).names[row]}{some}",
        lambda_title=lambda_title(field.grid.columns, field.pair, field.normalized),
        members=tuple(members),
    )


def _final_losses(one: PanelData) -> Floats:
    """Training loss at the epoch that counts, mean over seeds, [A, L]."""
    if one.panel is None:
        return np.full(one.landscape.error.shape, math.nan)
    return landscape(one.cells, one.panel, TRAIN_LOSS).error


def _curve(curves: pd.DataFrame, metric: Metric, cell: Cell) -> Curve:
    """The cell's curve; empty where the metric was not recorded by epoch."""
    if curves.empty or metric.name not in curves:
        return Curve("", (), (), (), diverged=False)
    return curves_record(curves, metric=metric, cells=[cell]).curves[0]


def _final_range(finals: Sequence[Final], units: Units) -> tuple[float, float] | None:
    """From the best final value to the worst, or to what is far enough from the best."""
    if not finals:
        return None
    metric = units.metric
    best = min(metric.sign * final.error - final.stderr for final in finals)
    worst = max(metric.sign * final.error + final.stderr for final in finals)
    far = MULTIPLE * max(best, 1.0) if metric.is_percent_error else FAR * units.size
    values = np.array([final.error for final in finals])
    return with_margins(best, min(worst, best + far), values, metric, MARGIN)


def generalization_sentences(panels: Sequence[PanelData], curves: pd.DataFrame) -> tuple[str, ...]:
    """The best cell of each panel; and what errors differ in where training losses are equal.

    Each panel is held against the first one.
    """
    return _sentences(*_with_training_losses(panels, curves))


def _sentences(panels: Sequence[PanelData], curves: pd.DataFrame) -> tuple[str, ...]:
    found = [*best_sentences(best_runs(panels, curves)), *gap_sentences(panels)]
    units = joint_units([one.landscape for one in panels])
    rows = _without_far([_row(one) for one in panels], units)
    gains = [
        (other, at_equal_loss(rows[0], row, units.metric.name))
        for other, row in zip(panels[1:], rows[1:], strict=True)
    ]
    known = [(other, gain) for other, gain in gains if gain is not None]
    found += [_against(panels[0], other, gain, units) for other, gain in known]
    if any(gain.stderr is None for _, gain in known):
        found.append(ONE_SEED)
    frames = (curves, *(one.cells for one in panels))
    some = any(top_cells(one.landscape, 1) for one in panels)
    if some and all(frame[TRAIN_LOSS.name].isna().all() for frame in frames):
        found.append(f"{NO_LOSS}: nothing can be said about equal training loss.")
    return tuple(found)


def _against(one: PanelData, other: PanelData, gain: Gain, units: Units) -> str:
    where = " to ".join(decimal(loss, 2).replace("-", "−") for loss in gain.losses)
    size, noun = abs(gain.difference), units.metric.noun
    if size <= NOISE * (gain.stderr or 0.0):
        what = "errors" if units.metric.is_percent_error else f"values of {noun}"
        between = f"the {what} of {other.title} and {one.title} show no clear difference"
    else:
        side = "below" if gain.difference < 0 else "above"
        apart = units.apart(size, gain.stderr)
        between = f"the {noun} of {other.title} is {apart} {side} that of {one.title}"
    return f"At equal training loss ({where}), {between}."


@dataclass(frozen=True)
class Gain:
    """How a metric differs where training losses are equal: second minus first."""

    difference: float  # in the metric's unit, mean over losses and seeds
    stderr: float | None  # over seeds; None for one
    losses: tuple[float, float]  # over which: those that every seed of both has


def at_equal_loss(
    one: pd.DataFrame, other: pd.DataFrame, metric: str = TEST_ERROR.name
) -> Gain | None:
    """Compare a metric of two panels at equal training loss; None where none is common.

    Each seed's values are interpolated over the logarithm of its training losses, or over the
    losses themselves where some are below 0.

    Args:
        one: a row per seed and λ: seed, train_loss, the metric.
        other: likewise.
        metric: its column.
    """
    seeds = sorted({*one["seed"]} & {*other["seed"]})
    both = [[frame[frame["seed"] == seed] for frame in (one, other)] for seed in seeds]
    rows = [frame for frames in both for frame in frames]
    low = max((frame["train_loss"].min() for frame in rows), default=1.0)
    high = min((frame["train_loss"].max() for frame in rows), default=0.0)
    if not low < high:
        return None
    scale = np.log if low > 0 else np.asarray
    at = np.linspace(scale(low), scale(high), STEPS)
    means = [
        [_mean_at(at, scale(frame["train_loss"]), frame[metric]) for frame in frames]
        for frames in both
    ]
    differences = np.array([second - first for first, second in means])
    count = len(seeds)
    stderr = float(differences.std(ddof=1) / math.sqrt(count)) if count > 1 else None
    return Gain(float(differences.mean()), stderr, (float(low), float(high)))


def _mean_at(at: Floats, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean over `at` of y, interpolated over x."""
    order = np.argsort(x)
    return float(np.interp(at, np.asarray(x)[order], np.asarray(y)[order]).mean())


def _row(one: PanelData) -> pd.DataFrame:
    """The cells of the family: finished, not diverged, with a loss that is not 0."""
    cells = one.cells[(one.cells["state"] == "finished") & ~one.cells["diverged"].astype(bool)]
    near = np.isclose(cells["alpha"], _alpha(one)[1], rtol=1e-9, atol=0.0)
    loss = cells[TRAIN_LOSS.name]
    return cells[near & loss.notna() & (loss != 0)]


def _without_far(rows: list[pd.DataFrame], units: Units) -> list[pd.DataFrame]:
    """The rows of panels without values so far from the best as no error in percent can be."""
    name, metric = units.metric.name, units.metric
    best = min(((metric.sign * row[name]).min() for row in rows if len(row)), default=0.0)
    return [row[metric.sign * row[name] <= best + FARTHEST * units.size] for row in rows]


def _alpha(one: PanelData) -> tuple[int, float]:
    """The α of the best cell, and its row; the first one where there is none."""
    best = top_cells(one.landscape, 1)
    row = best[0][0] if best else 0
    return row, one.landscape.rows.values[row]
