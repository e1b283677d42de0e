"""The files in which results lie: one JSON a part."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"

Facts = dict[str, Any]  # what a part found, ready for JSON


@dataclass(frozen=True)
class Settings:
    """How parts measure."""

    repeats: int
    quick: bool  # tiny sizes: shows that everything works, measures nothing
    results: Path  # where results go, and where those of earlier parts lie
    tell: Callable[[str], None]  # shows a line of progress


Part = Callable[[Settings], Facts]


def write(folder: Path, name: str, facts: Facts) -> None:
    """Write a part's facts."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path, name: str) -> Facts | None:
    """A part's facts; None if it has not been measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None
