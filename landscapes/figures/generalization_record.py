"""What generalization figures show: whether equal training loss means equal test error.

Records of the paper's Figure 3, drawn by `figures.generalization`: of each panel the cells of
one α, that of its best cell, from small λ to large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape_study.landscapes.figures.anytime_record import seen_range
from landscape_study.landscapes.figures.best_runs import best_runs, best_sentences, gap_sentences
from landscape_study.landscapes.figures.curves import Curve, curves_record, rows_of
from landscape_study.landscapes.figures.sizes import fitting_columns, paper_width
from landscape_study.landscapes.figures.style import decimal, lambda_title, ticks
from landscape_study.landscapes.reading.landscape import Floats, landscape, top_cells
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.restarts import NOISE, ONE_SEED
from landscape_study.study.spec.metric import TEST_ERROR
from landscape_study.study.spec.study import Cell

ROOM = 0.7  # inches that an axes is wider than a readable heatmap
SPAN = 2.0  # errors above the best that are shown, in multiples of it
AXES = 4
STEPS = 21  # training losses at which two panels are compared


@dataclass(frozen=True)
class Final:
    """Means over seeds at the epoch that counts."""

    loss: float  # of training
    error: float  # percent
    stderr: float  # percent; 0 for one seed


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
    error_range: tuple[float, float] | None  # percent, by epoch
    final_range: tuple[float, float] | None  # percent, of final errors
    headline: tuple[str, ...]
    columns: int
    width: float | None = None  # inches of the figure


def generalization_record(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    columns: int | None = None,
    width: float | str | None = None,
) -> GeneralizationRecord:
    """Say what `plot_generalization` draws."""
    inches = None if width is None else paper_width(width)
    columns = columns or (2 if inches is None else min(fitting_columns(inches, legend=ROOM), 2))
    families = [_family(one, curves[curves["panel"] == one.name]) for one in panels]
    members = [member for family in families for member in family.members]
    finals = [member.final for member in members if member.final is not None]
    left_out = any(member.lambda_ == 0 for member in members)
    names = dict.fromkeys(family.lambda_title.partition(" (")[0] for family in families)
    losses = [member.loss.mean for member in members]
    errors = [member.error.mean for member in members]
    seen = _final_range(finals)
    return GeneralizationRecord(
        families=tuple(families),
        error_title=(panels[0].metric if panels else TEST_ERROR).label,
        factor_title=" or ".join(names) + " (0 left out)" * left_out,
        loss_range=seen_range(losses, [final.loss for final in finals], log=True),
        error_range=seen_range(errors, [] if seen is None else [seen[1]]),
        final_range=seen,
        headline=generalization_sentences(panels, curves),
        columns=min(columns, AXES),
        width=inches,
    )


def _family(one: PanelData, curves: pd.DataFrame) -> Family:
    """The cells of a panel at the α of its best cell; of its first α where there is none."""
    field, names = one.landscape, ticks(one.landscape.lambda_)
    row, alpha = _alpha(one)
    loss = _final_losses(one)[row]
    members = []
    for col, lambda_ in enumerate(field.lambda_.values):
        if not field.n[row, col]:
            continue
        cell, diverged = Cell(alpha, lambda_), bool(field.diverged[row, col])
        own = rows_of(curves, cell)
        error, stderr = float(field.error[row, col]), float(np.nan_to_num(field.stderr[row, col]))
        members.append(
            Member(
                name=names.labels[col],
                lambda_=lambda_,
                shade=col / max(len(field.lambda_.values) - 1, 1),
                loss=_curve(own, "train_loss", cell),
                error=_curve(own, field.metric.name, cell),
                final=None if diverged else Final(float(loss[col]), error, stderr),
            )
        )
    some = "" if len(field.alpha.values) == 1 else ", its best one"
    return Family(
        title=f"{one.title}, α = {ticks(field.alpha).names[row]}{some}",
        lambda_title=lambda_title(field.lambda_, field.pair, field.normalized),
        members=tuple(members),
    )


def _final_losses(one: PanelData) -> Floats:
    """Training loss at the epoch that counts, mean over seeds, [A, L]."""
    if one.panel is None:
        return np.full(one.landscape.error.shape, math.nan)
    return landscape(one.cells.assign(test_error=one.cells["train_loss"]), one.panel).error


def _curve(curves: pd.DataFrame, metric: str, cell: Cell) -> Curve:
    return curves_record(curves, metric=metric, cells=[cell]).curves[0]


def _final_range(finals: Sequence[Final]) -> tuple[float, float] | None:
    """From the best final error to the worst, or to what is far enough above the best."""
    if not finals:
        return None
    low = min(final.error - final.stderr for final in finals)
    high = min(
        max(final.error + final.stderr for final in finals),
        low + SPAN * max(low, 1.0),
    )
    margin = 0.06 * max(high - low, 0.1)
    return max(low - margin, 0.0), high + margin


def generalization_sentences(panels: Sequence[PanelData], curves: pd.DataFrame) -> tuple[str, ...]:
    """The best cell of each panel; and what errors differ in where training losses are equal.

    Each panel is held against the first one.
    """
    found = [*best_sentences(best_runs(panels, curves)), *gap_sentences(panels)]
    gains = [(other, at_equal_loss(_row(panels[0]), _row(other))) for other in panels[1:]]
    known = [(other, gain) for other, gain in gains if gain is not None]
    found += [_against(panels[0], other, gain) for other, gain in known]
    if any(gain.stderr is None for _, gain in known):
        found.append(ONE_SEED)
    return tuple(found)


def _against(one: PanelData, other: PanelData, gain: Gain) -> str:
    where = f"{decimal(gain.losses[0], 2)} to {decimal(gain.losses[1], 2)}"
    size = abs(gain.difference)
    if size <= NOISE * (gain.stderr or 0.0):
        between = f"the errors of {other.title} and {one.title} show no clear difference"
    else:
        spread = "" if gain.stderr is None else f" ± {gain.stderr:.2f}"
        side = "below" if gain.difference < 0 else "above"
        between = (
            f"the error of {other.title} is {size:.2f}{spread} points {side} that of {one.title}"
        )
    return f"At equal training loss ({where}), {between}."


@dataclass(frozen=True)
class Gain:
    """How errors differ where training losses are equal: second minus first."""

    difference: float  # points of error, mean over losses and seeds
    stderr: float | None  # over seeds; None for one
    losses: tuple[float, float]  # over which: those that every seed of both has


def at_equal_loss(one: pd.DataFrame, other: pd.DataFrame) -> Gain | None:
    """Compare the errors of two panels at equal training loss; None where none is common.

    Each seed's errors are interpolated over the logarithm of its training losses.

    Args:
        one: a row per seed and λ: seed, train_loss (positive), test_error (percent, Top-5 too).
        other: likewise.
    """
    seeds = sorted({*one["seed"]} & {*other["seed"]})
    both = [[frame[frame["seed"] == seed] for frame in (one, other)] for seed in seeds]
    rows = [frame for frames in both for frame in frames]
    low = max((frame["train_loss"].min() for frame in rows), default=1.0)
    high = min((frame["train_loss"].max() for frame in rows), default=0.0)
    if not low < high:
        return None
    at = np.linspace(math.log(low), math.log(high), STEPS)
    means = [[_interpolated(frame, at) for frame in frames] for frames in both]
    differences = np.array([second - first for first, second in means])
    count = len(seeds)
    stderr = float(differences.std(ddof=1) / math.sqrt(count)) if count > 1 else None
    return Gain(float(differences.mean()), stderr, (float(low), float(high)))


def _interpolated(rows: pd.DataFrame, at: Floats) -> float:
    """Mean error (percent) over logarithms of training losses."""
    rows = rows.sort_values("train_loss")
    return float(np.interp(at, np.log(rows["train_loss"]), rows["test_error"]).mean())


def _row(one: PanelData) -> pd.DataFrame:
    """The cells of the family: finished, not diverged, with a loss; the error is test_error."""
    cells = one.cells[(one.cells["state"] == "finished") & ~one.cells["diverged"].astype(bool)]
    near = np.isclose(cells["alpha"], _alpha(one)[1], rtol=1e-9, atol=0.0)
    chosen = cells[near & (cells["train_loss"] > 0)]
    return chosen.rename(columns={one.metric.name: "test_error"})


def _alpha(one: PanelData) -> tuple[int, float]:
    """The α of the best cell, and its row; the first one where there is none."""
    best = top_cells(one.landscape, 1)
    row = best[0][0] if best else 0
    return row, one.landscape.alpha.values[row]
