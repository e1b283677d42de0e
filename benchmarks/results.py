"""The files in which results lie: one JSON a part."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import REPOSITORY, machine, require_same_source, source_hash

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


def record(name: str, part: Part, settings: Settings, module: str = "benchmarks") -> None:
    """Measure a part and write its facts, with what the facts of all parts have.

    Raises:
        BenchmarkError: it failed, or somebody changed the tool meanwhile.
    """
    source, started = source_hash(), time.perf_counter()
    facts = part(settings)
    require_same_source(source)
    common = {
        "benchmark": name,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": time.perf_counter() - started,
        "machine": machine(),
    }
    command = ["python", "-m", module, *sys.argv[1:]]
    own = {"repeats": settings.repeats, "quick": settings.quick, "command": command}
    write(settings.results, name, common | facts | {"settings": own | facts["settings"]})


def write(folder: Path, name: str, facts: Facts) -> None:
    """Write a part's facts."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path, name: str) -> Facts | None:
    """A part's facts; None if it has not been measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None
