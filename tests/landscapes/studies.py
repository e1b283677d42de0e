"""Made-up panels with curves: what figures by epoch are drawn from, without a database."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis, Grid, Panel

Curves = dict[tuple[float, float], Sequence[Sequence[float]]]  # (α, λ) → value by seed and epoch


def panel_of(name: str, curves: Curves, *, pair: str = "adamw", **fields) -> Panel:
    """A panel on the grid of these cells."""
    alphas, lambdas = zip(*curves, strict=True)
    grid = Grid(alpha=Axis(values=sorted({*alphas})), lambda_=Axis(values=sorted({*lambdas})))
    epochs = max(len(curve) for seeds in curves.values() for curve in seeds)
    return Panel(name=name, pair=pair, epochs=epochs, grid=grid, **fields)


def panel_data(
    panel: Panel,
    curves: Curves,
    diverged: Sequence[tuple[float, float]] = (),
    metric: Metric = TEST_ERROR,
):
    """The panel's cells and curves of a metric; the training loss is a hundredth of its size."""
    rows, cells, name = [], [], metric.name
    end = panel.schedule.solution(panel.epochs or 0)
    for (alpha, lambda_), seeds in curves.items():
        for seed, curve in enumerate(seeds):
            where = {"panel": panel.name, "alpha": alpha, "lambda": lambda_, "seed": seed}
            final = {name: curve[end - 1], "train_loss": abs(curve[end - 1]) / 100}
            state = {"state": "finished", "diverged": (alpha, lambda_) in diverged}
            cells.append(where | final | state)
            rows += [
                where | {"epoch": epoch, name: value, "train_loss": abs(value) / 100}
                for epoch, value in enumerate(curve, start=1)
            ]
    frame = pd.DataFrame(cells)
    data = PanelData(panel.name, landscape(frame, panel, metric), frame, panel)
    return data, pd.DataFrame(rows)


def study_data(*panels) -> tuple[list[PanelData], pd.DataFrame]:
    """Several panels, and one frame of all their curves."""
    data, frames = zip(*panels, strict=True)
    return list(data), pd.concat(frames, ignore_index=True)
