"""Designs: which cells of its axes a panel has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from landscape_study.study.spec.grid import Cell, Grid

Design = Literal["grid", "imported"]

DESIGNS: dict[Design, Callable[[Grid], tuple[Cell, ...]]] = {
    "grid": Grid.cells,  # every α with every λ
    "imported": lambda grid: (),  # those that were trained elsewhere; none is asked for
}
