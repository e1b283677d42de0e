"""MLflow's file store: a folder a run, a file a setting, and a file a metric with its steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, Value
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.errors import UsageError
from landscape_study.study.printable import printable

META = "meta.yaml"
STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
LONGEST = 10_000  # characters of a setting


def is_mlflow_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / META).is_file() and (folder / "params").is_dir()


def read_mlflow_run(folder: Path) -> Table:
    """A row a step, with columns as of `mlflow.search_runs`: params.lr, metrics.loss, status.

    Raises:
        UsageError: a file cannot be read, or a metric's line is no "time value step".
    """
    try:
        shared: dict[str, Value] = {"status": _status(folder / META)}
        for name, file in _files(folder / "params"):
            shared[f"params.{name}"] = file.read_text("utf-8").strip()[:LONGEST]
        steps: dict[int, dict[str, Value]] = {}
        for name, file in _files(folder / "metrics"):
            for step, value in _points(file):
                steps.setdefault(step, {})[f"metrics.{name}"] = value
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(
            f"{folder}: cannot be read ({printable(str(e))}): copy it again, or leave it out"
        ) from e
    builder = TableBuilder(f"{folder}, step")
    rows = steps or {0: {}}
    builder.add_records((step, shared | {"step": step} | rows[step]) for step in sorted(rows))
    return builder.table(folder)


def _status(meta: Path) -> str:
    text = meta.read_text("utf-8")
    if re.search(r"^lifecycle_stage:\s*deleted", text, re.MULTILINE):
        return "FAILED"
    found = re.search(r"^status:\s*'?(\w+)", text, re.MULTILINE)
    return STATUS.get(found[1], found[1]) if found else ""


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files in a folder, by their names; "val/loss" lies in a folder of its own."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            yield printable(file.relative_to(folder).as_posix()), file


def _points(file: Path) -> Iterator[tuple[int, str]]:
    for i, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) < 2 or not re.fullmatch(r"-?\d+", parts[2] if len(parts) > 2 else "0"):
            raise UsageError(f"{file}, line {i}: expected time, value and step: mend that line")
        yield int(parts[2]) if len(parts) > 2 else i, parts[1]
