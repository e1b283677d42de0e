"""Verdicts and comparisons as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.table import Table

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.budget_ranks import BudgetRank
from landscape_study.landscapes.statistics.comparison import Comparison
from landscape_study.landscapes.statistics.explanation import Explanation
from landscape_study.landscapes.statistics.optimum import Move
from landscape_study.landscapes.statistics.separability import Separability
from landscape_study.study.spec.cell_numbers import (
    LAMBDA,
    NOTE,
    Names,
    common,
    measures,
    symbols,
)
from landscape_study.study.spec.metric import Metric


def _meanings(names: Names) -> tuple[str, ...]:
    """What the numbers of verdicts are, of landscapes over these axes."""
    (up, across), (x, y) = symbols(names), measures(names)
    return (
        f"tilt: correlation of log {x} and log {y} over the good cells, −1 or 1 a diagonal",
        f"drift: octaves that the best {y} moves when {x} doubles",
        f"interaction: share of the variation that no effect of {up} plus one of {across} "
        "explains",
        f"worst: regret from the worst {up} to start from",
    )


def verdict_table(
    found: Sequence[tuple[str, Separability]], warnings: Sequence[str] = ()
) -> Table:
    """One row per panel: the verdict and its numbers with their intervals.

    Args:
        found: name and statistics of each panel.
        warnings: what a reader must know besides.
    """
    table = _table("panel", "verdict", "tilt", "drift", "interaction", "regret", "worst")
    for name, one in found:
        numbers = map(_cell, (one.tilt, one.drift, one.interaction))
        digits = one.units.digits
        costs = (_cell(cost, digits) for cost in (one.regret, one.worst_regret))
        table.add_row(name, one.verdict, *numbers, *costs)
    names = common(one.names for _, one in found)
    (up, across), decayed = symbols(names), "all over λ > 0; " * (names[1] == LAMBDA)
    other = any(one.names != names for _, one in found)
    table.caption = "\n".join(
        [
            f"regret: {_lost(one.units.metric for _, one in found)} lost by tuning {across}, then "
            f"{up}; {decayed}below: 95 % intervals",
            *_meanings(names),
            *([NOTE] if other else []),
            *_remarks(found),
            *warnings,
        ]
    )
    return table


def _remarks(found: Sequence[tuple[str, Separability]]) -> list[str]:
    """What is to be said of panels; each remark once, with the names of those it holds for."""
    lines = [(name, line) for name, one in found for line in _lines(one)]
    return [f"{names}: {line}" for line, names in _grouped(lines, len(found))] + _taken(found)


def _taken(found: Sequence[tuple[str, Separability]]) -> list[str]:
    """What matters where it was not given, in one line; which verdicts hang on it."""
    derived = [  # else nothing is counted in it
        (name, one)
        for name, one in found
        if one.units.derived and not math.isnan(one.regret.value)
    ]
    if not derived:
        return []
    margins = _grouped([(n, phrases.what_matters(one.units)) for n, one in derived], len(found))
    told = ", ".join(f"{margin} ({names})" for margin, names in margins)
    hinges = [(name, line) for name, one in derived if (line := phrases.hinges(one))]
    return [
        f"{phrases.TAKEN} {told}; --matters says otherwise",
        *(f"{names}: {line}" for line, names in _grouped(hinges, len(found))),
    ]


def _grouped(pairs: Sequence[tuple[str, str]], panels: int) -> list[tuple[str, str]]:
    """Each remark with the names it is made of: "sgd, sgdw", or "all panels".

    Args:
        pairs: names and remarks.
        panels: how many there are.
    """
    names: dict[str, list[str]] = {}
    for name, remark in pairs:
        names.setdefault(remark, []).append(name)
    return [
        (remark, "all panels" if 2 < len(ones) == panels else ", ".join(ones))
        for remark, ones in names.items()
    ]


def _lost(metrics: Iterable[Metric]) -> str:
    """What a regret is of: points of error, or what else was measured."""
    return " or ".join(dict.fromkeys(map(phrases.lost, metrics))) or "points of error"


def _lines(one: Separability) -> list[str]:
    """Why it is not separable, and the law."""
    lines = [] if one.verdict == "separable" else [one.reason]
    return lines + phrases.how_lambda_goes(one)


def comparison_table(found: Sequence[tuple[str, Comparison]]) -> Table:
    """One row per pair of panels: other minus one, with intervals.

    Args:
        found: a name such as "one → other", and how they differ.
    """
    table = _table("panels", "best", "tilt", "drift", "regret", "rank corr.", "transfer")
    for name, one in found:
        best, regret, transfer = (
            _cell(cost, one.units.digits) for cost in (one.best, one.regret, one.transfer)
        )
        tilt, drift, rank = map(_cell, (one.tilt, one.drift, one.rank))
        table.add_row(name, best, tilt, drift, regret, rank, transfer)
    metrics = [one.units.metric for _, one in found]
    in_percent = all(metric.is_percent_error for metric in metrics)
    decayed = " over λ > 0" * any(one.names[1] == LAMBDA for _, one in found)
    table.caption = (
        f"second minus first{decayed}, 95 % intervals below; over cells that both have: rank "
        f"correlation, and {'points' if in_percent else _lost(metrics)} lost in the second by "
        "taking the first's best cell (transfer)"
    )
    return table


def budgets_table(found: Sequence[BudgetRank]) -> Table:
    """One row per step from a budget to the next: ranks, loss, and how far the basin moves."""
    table = _table("panels", "cells", "rank corr.", "place", "lost", "α", "λ")
    for one in found:
        lost, moves = _cell(one.lost, one.units.digits), map(_cell, (one.alpha, one.lambda_))
        ranks = str(one.cells), _cell(one.rank), phrases.placed(one)
        table.add_row(f"{one.cheap} →\n{one.dear}", *ranks, lost, *moves)
    chosen = any(one.is_chosen for one in found)
    note = phrases.budgets_note(found[0].units.metric, is_chosen=chosen)
    table.caption = "\n".join([*map(phrases.budget_line, found), note])
    return table


def moves_table(found: Sequence[Move]) -> Table:
    """One row per panel whose pair has an earlier one: how far the basin moved, in octaves."""
    table = _table("panels", "α", "λ", "normalized λ")
    for move in found:
        numbers = (move.alpha, move.raw_lambda, move.normalized_lambda)
        table.add_row(f"{move.origin} → {move.panel}", *map(_cell, numbers))
    table.caption = "how the middle of the basin moves, in octaves: 1 is twice the value"
    return table


def explanations_table(found: Sequence[Explanation]) -> Table:
    """One row per pair: how far the best value of each candidate moves, in octaves."""
    names = dict.fromkeys(name for one in found for name in one.names)
    table = _table("pair", *names)
    for one in found:
        spreads = {candidate.name: _cell(candidate.spread) for candidate in one.candidates}
        table.add_row(one.title, *(spreads.get(name, phrases.UNKNOWN) for name in names))
    lines = [
        line for one in found for line in (phrases.explained_briefly(one), *phrases.left_out(one))
    ]
    meaning = "how far the best value moves over α and panels, in octaves: what explains stays"
    table.caption = "\n".join([meaning, *lines])
    return table


def _table(first: str, *columns: str) -> Table:
    # 80 columns hold the intervals just so.
    table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(estimate: Estimate, digits: int = 2) -> str:
    """The number, and its interval in a line of its own: "−0.78", "−0.84 … −0.71"."""
    number = phrases.number(estimate.value, digits)
    if not estimate.has_interval:
        return number
    return (
        f"{number}\n{phrases.number(estimate.low, digits)}…{phrases.number(estimate.high, digits)}"
    )
