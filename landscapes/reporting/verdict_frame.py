"""Verdicts and comparisons as tables to go on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.comparison import compare_panels
from landscape_study.landscapes.statistics.separability import (
    STATISTICS,
    Separability,
    panel_separability,
)


def verdict_frame(panels: Sequence[PanelData]) -> pd.DataFrame:
    """One row a panel: its verdict, and each statistic with the ends of its interval.

    Where axes are others than α and λ, the column axes says which.
    """
    rows = [{"panel": one.name, **dict(_facts(panel_separability(one)))} for one in panels]
    frame = pd.DataFrame(rows)
    if not all(one.landscape.is_usual for one in panels):
        frame.insert(1, "axes", [" × ".join(one.landscape.names) for one in panels])
    return frame


def comparison_frame(pairings: Sequence[tuple[PanelData, PanelData]]) -> pd.DataFrame:
    """One row a pair of panels: each number of their comparison with the ends of its interval."""
    rows = []
    for one, other in pairings:
        found = compare_panels(one, other)
        row: dict[str, object] = {"panel": one.name, "other": other.name}
        for field in fields(found):
            if field.name in ("units", "names"):
                continue
            value = getattr(found, field.name)
            known = isinstance(value, Estimate)
            row |= dict(_estimate(field.name, value)) if known else {field.name: value}
        rows.append(row)
    return pd.DataFrame(rows)


def _estimate(name: str, estimate: Estimate) -> Iterator[tuple[str, object]]:
    yield from ((name, estimate.value), (f"{name}_low", estimate.low))
    yield (f"{name}_high", estimate.high)


def _facts(found: Separability) -> Iterator[tuple[str, object]]:
    yield from (("verdict", found.verdict), ("reason", found.reason), ("rule", found.rule or ""))
    for name in STATISTICS:
        yield from _estimate(name, getattr(found, name))
    for name in ("best", "cells", "seeds", "noise"):
        yield name, getattr(found, name)
