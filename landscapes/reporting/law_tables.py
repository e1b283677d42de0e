"""Laws over a third axis, as tables for a terminal and as frames to go on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd
from rich.table import Table

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.law_phrases import headline
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.panel_families import NAMES
from landscape_study.landscapes.statistics.scaling_law import (
    LAMBDA,
    TIMESCALE,
    Comparison,
    Exponent,
    Place,
    ScalingLaw,
)
from landscape_study.study.errors import UsageError

LawTable = Literal["exponents", "values", "published"]

SIDES = {"below": "≤ ", "above": "≥ "}  # before a value that is a bound
NO_VALUE = "?"
VALUES_NOTE = (
    "best values, the middle of each basin; below, the factor of their 95 % interval; ≤ and ≥: a "
    "bound, since the border cuts the basin; ?: not to be told"
)


def law_tables(laws: Sequence[ScalingLaw]) -> list[Table]:
    """Of each family its best values, their exponents, and what others published."""
    found = []
    for law in laws:
        found += [_values_table(law), _exponents_table(law)]
        if law.published:
            found.append(_published_table(law))
    if found:
        found[0].caption = VALUES_NOTE
    return found


def _table(title: str | None, *columns: str) -> Table:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        caption_justify="left",
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _values_table(law: ScalingLaw) -> Table:
    """One row a panel."""
    table = _table(headline(law), NAMES[law.family.over], *(_head(one) for one in law.exponents))
    for i, x in enumerate(law.family.values):
        table.add_row(f"{x:g}", *(_value(one.places[i]) for one in law.exponents))
    return table


def _head(one: Exponent) -> str:
    return f"{one.quantity}, epochs" if one.quantity == TIMESCALE else one.quantity


def _value(place: Place) -> str:
    """A best value and how far its interval reaches: "0.012" and "×/÷ 1.2"."""
    known = place.value
    if math.isnan(known.value) or place.side == "anywhere":
        return NO_VALUE
    told = f"{SIDES.get(place.side, '')}{plain(2**known.value)}"
    if not known.has_interval or place.side:
        return told
    reach = max(known.high - known.value, known.value - known.low)
    return f"{told}\n×/÷ {2**reach:.2f}"


def plain(value: float) -> str:
    """A positive number in three digits, without powers of ten where it is short."""
    if 1e-5 <= value < 1e5:
        return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"


def _exponents_table(law: ScalingLaw) -> Table:
    """One row a quantity."""
    table = _table(None, "goes as", "exponent", "95 %")
    for one in law.exponents:
        row = (phrases.number(one.exponent.value), _interval(one.exponent))
        table.add_row(f"{one.quantity} ∝ {NAMES[law.family.over]}^b", *row)
    whys: dict[str, list[str]] = {}
    for one in law.exponents:
        if one.why:
            whys.setdefault(one.why, []).append(one.quantity)
    lines = [f"{', '.join(names)}: cannot tell: {why}" for why, names in whys.items()]
    table.caption = "\n".join(lines)
    return table


def _interval(found: Estimate) -> str:
    """The interval; of a bound alone, the end that is known."""
    if not found.has_interval:
        return phrases.UNKNOWN
    if math.isinf(found.low):
        return f"at most {phrases.number(found.high)}"
    if math.isinf(found.high):
        return f"at least {phrases.number(found.low)}"
    return phrases.interval(found)


def _published_table(law: ScalingLaw) -> Table:
    """One row a published law."""
    table = _table(None, "published", "says", "here")
    for one in law.published:
        table.add_row(f"{one.quantity}: {one.law.name}", _says(one), one.verdict)
    table.caption = "\n".join(dict.fromkeys(_source(one) for one in law.published))
    return table


def _says(one: Comparison) -> str:
    """The exponent that a law says, and what follows for λ where that is another quantity."""
    if one.law.of == "alpha" or one.quantity == LAMBDA or math.isnan(one.of_lambda):
        return phrases.number(one.says, 1)
    return f"{phrases.number(one.says, 1)}\nλ: {phrases.number(one.of_lambda)}"


def _source(one: Comparison) -> str:
    condition = f" ({one.law.condition})" if one.law.condition else ""
    return f"{one.law.name}: {one.law.source}{condition}"


def law_frame(laws: Sequence[ScalingLaw], what: LawTable = "exponents") -> pd.DataFrame:
    """Laws as a table to go on with.

    Raises:
        UsageError: there is no such table.
    """
    if what not in get_args(LawTable):
        raise UsageError(f"no table '{what}': choose one of {', '.join(get_args(LawTable))}")
    rows: list[dict[str, object]] = []
    for law in laws:
        own = _facts(law)
        if what == "exponents":
            rows += [own | _exponent_row(one) for one in law.exponents]
        elif what == "values":
            rows += [own | row for one in law.exponents for row in _value_rows(one)]
        else:
            rows += [own | _published_row(one) for one in law.published]
    return pd.DataFrame(rows)


def _facts(law: ScalingLaw) -> dict[str, object]:
    """What all rows of a family begin with."""
    family = law.family
    return {
        "pair": family.pair or family.title,
        "schedule": family.title.partition(", ")[2] if family.pair else "",
        "over": family.over,
        "held": family.held,
    }


def _exponent_row(one: Exponent) -> dict[str, object]:
    found = one.exponent
    return {
        "quantity": one.quantity,
        "exponent": found.value,
        "exponent_low": found.low,
        "exponent_high": found.high,
        "tells": one.tells,
        "why": one.why,
    }


def _value_rows(one: Exponent) -> list[dict[str, object]]:
    return [
        {
            "quantity": one.quantity,
            "panel": place.panel,
            "x": place.x,
            "value": 2**place.value.value,
            "value_low": 2**place.value.low,
            "value_high": 2**place.value.high,
            "bound": place.side,
        }
        for place in one.places
    ]


def _published_row(one: Comparison) -> dict[str, object]:
    return {
        "law": one.law.name,
        "source": one.law.source,
        "condition": one.law.condition,
        "quantity": one.quantity,
        "says": one.says,
        "lambda_says": one.of_lambda,
        "verdict": one.verdict,
    }
