"""Sweeps that the tests of this folder write."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

CASES = Path(__file__).parent / "cases"
ALPHAS, LAMBDAS, SEEDS = (0.001, 0.01, 0.1), (1e-4, 1e-3, 1e-2), (0, 1)


def loss(alpha: float, lambda_: float, seed: int = 0) -> float:
    """A loss, best at 0.01 and 1e-3."""
    away = abs(math.log10(alpha / 0.01)) + 0.5 * abs(math.log10(lambda_ / 1e-3))
    return round(0.3 + away + 0.01 * seed, 4)


def runs() -> list[dict[str, Any]]:
    """A run for each α, λ and seed."""
    return [
        {"lr": a, "wd": b, "seed": seed, "val_loss": loss(a, b, seed)}
        for a in ALPHAS
        for b in LAMBDAS
        for seed in SEEDS
    ]


@pytest.fixture
def frame() -> pd.DataFrame:
    """A row a run."""
    return pd.DataFrame(runs())


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[Callable[[Path, int, dict[str, Any]], None]], Path]:
    """Makes a folder in which a function writes each run: folder, number and settings."""

    def made(write: Callable[[Path, int, dict[str, Any]], None]) -> Path:
        folder = tmp_path / "sweep"
        folder.mkdir()
        for i, run in enumerate(runs()):
            write(folder, i, run)
        return folder

    return made
