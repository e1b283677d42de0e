"""Verdicts as a table to go on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.separability import (
    STATISTICS,
    Separability,
    panel_separability,
)


def verdict_frame(panels: Sequence[PanelData]) -> pd.DataFrame:
    """One row a panel: its verdict, and each statistic with the ends of its interval."""
    rows = [{"panel": one.name, **dict(_facts(panel_separability(one)))} for one in panels]
    return pd.DataFrame(rows)


def _facts(found: Separability) -> Iterator[tuple[str, object]]:
    yield from (("verdict", found.verdict), ("reason", found.reason))
    for name in STATISTICS:
        estimate = getattr(found, name)
        yield from ((name, estimate.value), (f"{name}_low", estimate.low))
        yield (f"{name}_high", estimate.high)
    for name in ("best", "cells", "seeds", "noise"):
        yield name, getattr(found, name)
