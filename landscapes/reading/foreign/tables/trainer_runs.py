"""Runs of Hugging Face's Trainer: a folder a run, with checkpoints that hold its log so far."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from landscape_study.landscapes.reading.foreign.tables.column_names import (
    ALPHA,
    LAMBDA,
    is_called,
)
from landscape_study.landscapes.reading.foreign.tables.foreign_table import Table, Value
from landscape_study.landscapes.reading.foreign.tables.name_settings import settings_in
from landscape_study.landscapes.reading.foreign.tables.nested_cells import flat
from landscape_study.landscapes.reading.foreign.tables.pickled_settings import (
    load_pickled_settings,
)
from landscape_study.landscapes.reading.foreign.tables.settings_files import load_settings
from landscape_study.landscapes.reading.foreign.tables.table_builder import TableBuilder
from landscape_study.study.errors import UsageError, first_line
from landscape_study.study.printable import printable

STATE = "trainer_state.json"
ARGUMENTS = ("args.json", "training_args.json", "hparams.json", "params.json", "config.json")
PICKLED = "training_args.bin"
LAST = "all_results.json"  # what was measured after the last epoch
SCHEDULED = "learning_rate"  # in the log: what the schedule made of it
LARGEST = 64 * 1024**2  # bytes


def is_trainer_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return _last_state(folder) is not None


def read_trainer_run(folder: Path, parts: tuple[str, ...]) -> Table:
    """A row a record of the log in the last checkpoint, with the settings of the run.

    Settings are those of a search, of files with arguments, and of names; α is never taken from
    the log, where the schedule has changed it.

    Args:
        folder: of the run.
        parts: the path of it, whose names may hold settings.

    Raises:
        UsageError: the log cannot be read.
    """
    path = _last_state(folder)
    assert path is not None
    state = _loaded(path)
    log = [one for one in state.get("log_history") or () if isinstance(one, dict)]
    settings = _settings(folder, path.parent, state, parts)
    builder = TableBuilder(f"{path}, record")
    builder.add_records((i, settings | row) for i, row in enumerate(_rows(folder, log), start=1))
    return builder.table(folder)


def _rows(folder: Path, log: list[dict[str, Any]]) -> Iterator[dict[str, Value]]:
    """The records of the log, and what was measured in the end that it has not."""
    for record in log:
        yield flat({key: record[key] for key in record if not _is_summary(key, record)})
    known = {key for record in log for key in record}
    last = _loaded(folder / LAST) if (folder / LAST).is_file() else {}
    more = {key: last[key] for key in last if key not in known and not _is_summary(key, last)}
    if more or not log:
        place = {key: log[-1][key] for key in ("epoch", "step") if log and key in log[-1]}
        yield flat(place | more)


def _is_summary(key: str, record: Mapping[str, Any]) -> bool:
    """Whether something is no measurement at an epoch: the schedule, or a mean of the training."""
    return key == SCHEDULED or ("train_runtime" in record and key.startswith("train_"))


def _settings(
    folder: Path, checkpoint: Path, state: Mapping[str, Any], parts: tuple[str, ...]
) -> dict[str, Value]:
    """The settings of a run, the surest of each."""
    found: dict[Any, Any] = {}
    for at in (folder, checkpoint):
        found |= load_pickled_settings(at / PICKLED)
    for at in (folder, checkpoint):
        for name in ARGUMENTS:
            loaded = load_settings(at / name) if (at / name).is_file() else {}
            found |= {} if "architectures" in loaded else loaded  # of the model, not of the run
    found |= state.get("trial_params") or {}  # of `hyperparameter_search`
    known = flat(found, "config.")
    named = settings_in(parts)
    for tiers in (ALPHA, LAMBDA):
        if any(is_called(key, names) for key in known for names in tiers):
            named = {
                key: value
                for key, value in named.items()
                if not any(is_called(key, names) for names in tiers)
            }
    return named | known


def _last_state(folder: Path) -> Path | None:
    """The log of the run as far as it got: its own, or that of the last checkpoint."""
    own = folder / STATE
    if own.is_file():
        return own
    found = [one for one in folder.glob(f"checkpoint-*/{STATE}") if one.is_file()]
    return max(found, key=_step, default=None)


def _step(state: Path) -> int:
    number = re.search(r"\d+$", state.parent.name)
    return int(number[0]) if number else -1


def _loaded(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        found = json.loads(path.read_text("utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("holds no record")
    except (OSError, ValueError, RecursionError) as e:
        raise UsageError(
            f"{path}: is no log of a Trainer ({printable(first_line(e))}): copy it again, or "
            "leave that run out"
        ) from e
    return found
