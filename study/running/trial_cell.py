"""One cell of a study, run by itself: what came of it, and what nothing is stored of."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from landscape_study.study.errors import TrainingError
from landscape_study.study.planning.objective_plan import AnyPlan, ObjectivePlan
from landscape_study.study.planning.plan import Plan, estimate_seconds
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.failure_words import failure_parts, failure_words
from landscape_study.study.running.job import ObjectiveJob
from landscape_study.study.running.objective_runs import (
    ObjectiveRuns,
    StopAskedError,
    filling_of,
    why_failed,
)
from landscape_study.study.running.training_run import train
from landscape_study.study.spec.placeholders import missing_files
from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.store import Store


@dataclass(frozen=True)
class TrialCell:
    """What came of one cell.

    Attributes:
        value: of the metric; None if there is none.
        why: there is no value; None if there is one.
        numbers: others that it gave, the last of each.
        points: of its curves.
        seconds: that it took.
        memory: bytes that it and its children were seen to have at most, or may take; 0 for one
            that was too short to be seen.
        log: its last lines, if it failed.
        hints: what may be wrong, or could be better.
    """

    value: float | None
    why: str | None
    numbers: Mapping[str, float]
    points: int
    seconds: float
    memory: int
    log: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def middle_cell(panel: Panel) -> Cell:
    """The cell in the middle of a panel's grid."""
    rows, columns = panel.grid.rows.values, panel.grid.columns.values
    return panel.grid.cell(rows[len(rows) // 2], columns[len(columns) // 2])


def only(study: Study, panel: Panel, cell: Cell) -> Study:
    """The study with one cell of one panel, trained to its end, and its first seed."""
    grid = {name: [cell.value(name)] for name in panel.grid.names} | {"extra_cells": ()}
    alone = panel.changed(grid | {"design": "grid", "prune": None})
    return study.change(seeds=[study.seeds[0]], panels=[alone])


def try_cell(plan: AnyPlan, panel: Panel, cell: Cell, settings: RunSettings) -> TrialCell:
    """Run one cell of a plan's study with its first seed, in a folder that is removed after it.

    Raises:
        TrainingError: it could not be begun.
    """
    with (
        tempfile.TemporaryDirectory(prefix="landscape-try-") as name,
        closing(Store(str(Path(name) / "try.db"), create=True)) as store,
    ):
        if isinstance(plan, ObjectivePlan):
            return _objective_trial(plan, panel, cell, settings, store)
        return _task_trial(plan, panel, cell, settings, store)


def _objective_trial(
    plan: ObjectivePlan, panel: Panel, cell: Cell, settings: RunSettings, store: Store
) -> TrialCell:
    study, device = plan.study, plan.layout.devices[0]
    job = ObjectiveJob(
        store=store.url,
        study=study,
        identity=plan.identity,
        run_id=0,
        threads=plan.layout.threads,
        limits=settings.limits,
        function=plan.function,
    )
    folder = store.folder / "run"
    seed = study.seeds[0]
    filling = filling_of(cell, seed, panel, folder)
    try:
        with ObjectiveRuns(job, store, device) as runs, runs.heeding():
            ended, found = runs.run(filling, runs.require_wanted)
    except StopAskedError:
        raise KeyboardInterrupt from None
    except OSError as e:
        raise TrainingError(f"it cannot be started: {e}") from e
    why = why_failed(ended, found, settings.limits)
    metric = study.metric.name
    return TrialCell(
        value=None if why else found.value,
        why=why,
        numbers={name: one for name, one in found.last.items() if name != metric},
        points=found.count,
        seconds=ended.seconds,
        memory=ended.memory,
        log=tuple(failure_parts(failure_words("", ended.tail))[1]) if why else (),
        hints=tuple(_hints(study, found.count)),
    )


def _hints(study: Study, points: int) -> list[str]:
    """What may be wrong with an objective, or could be better."""
    command, hints = study.command or (), []
    for word, meant in missing_files(command, Path.cwd()):
        remedy = f": did you mean {meant}?" if meant else ""
        hints.append(f"there is no file {word} here{remedy}")
    if command and len(study.seeds) > 1 and not any("{seed}" in word for word in command):
        hints.append(_unheard("seed", "seeds"))
    panels = {panel.pair for panel in study.panels}
    if command and len(panels) > 1 and not re.search(r"\{(pair|panel)\}", " ".join(command)):
        hints.append(_unheard("pair", "panels of the same grid"))
    if points == 1:
        how = "print such a line" if command else "call run.report(epoch, …)"
        hints.append(f"one value and no curve: {how} after each epoch to see learning curves")
    return hints


def _unheard(name: str, all_: str) -> str:
    variable = f"LANDSCAPE_{name.upper()}"
    return f"the command has no {{{name}}}: unless it reads {variable}, all {all_} give the same"


def _task_trial(
    plan: Plan, panel: Panel, cell: Cell, settings: RunSettings, store: Store
) -> TrialCell:
    one = only(plan.study, panel, cell)
    layout = replace(plan.layout, devices=plan.layout.devices[:1], chunk=1)
    alone = replace(plan, study=one, layout=layout, choice=replace(plan.choice, width=1))
    train(alone, store, replace(settings, witness=False))
    (row,) = store.cells(one.name)
    curves = {curve["metric"]: curve["values"] for curve in store.curves(one.name)}
    failed = [failure_parts(failure.reason)[0] for failure in store.failures(one.name)]
    return TrialCell(
        value=None if failed else row["value"],
        why=failed[0] if failed else None,
        numbers={
            name: float(values[-1]) for name, values in curves.items() if name != one.metric.name
        },
        points=max((len(values) for values in curves.values()), default=0),
        seconds=row["seconds"] or 0.0,
        memory=plan.cell_bytes,
    )


def whole_seconds(plan: AnyPlan, trial: TrialCell) -> float:
    """Wall time of the whole study on the workers of its plan, seconds."""
    if isinstance(plan, Plan):
        return estimate_seconds(plan)
    return -(-whole_cells(plan.study) // len(plan.layout.devices)) * trial.seconds


def whole_cells(study: Study) -> int:
    """How many cells a study has, over all seeds."""
    return sum(map(study.trainings, study.panels))
