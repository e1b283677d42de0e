"""Sentences in a terminal: of runs, failed cells, witnesses, merges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from landscape_study.study.quantities import format_bytes, format_seconds
from landscape_study.study.records.failure_words import failure_parts
from landscape_study.study.records.witness_record import DOUBT, MARK, marked
from landscape_study.study.spec.metric import TEST_ERROR, Metric

if TYPE_CHECKING:
    from landscape_study.study.planning.engine_report import EngineReport
    from landscape_study.study.planning.objective_plan import AnyPlan, ObjectivePlan
    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.records.witness_record import Witness
    from landscape_study.study.running.trial_cell import TrialCell
    from landscape_study.study.spec.study import Cell, Study
    from landscape_study.study.store import Failure, PanelProgress
    from landscape_study.study.store.merging import Merged

NUMBERS = 12  # that are shown of a cell beside its metric
FAILURES = 20  # failed cells that are listed
SHORT = 9.5  # seconds below which a duration has two digits
LOGS = 3  # of them, those with the last lines of their logs


def print_plain(console: Console, line: str) -> None:
    """Print a line as it is, which may hold a user's own words."""
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def workers_line(plan: AnyPlan, database: str, progress: Sequence[PanelProgress]) -> str:
    """What is to be done, by whom and how."""
    workers = len(plan.layout.devices)
    total, finished = sum(p.total for p in progress), sum(p.finished for p in progress)
    pruned = sum(p.pruned for p in progress)
    stopped = f", {pruned} pruned" * bool(pruned)
    return (
        f"study {plan.study.name}: {total} cells, {finished} of them finished{stopped}; "
        f"{workers} worker{'s' * (workers > 1)}, engine {plan.engine}; "
        f"database {database}"
    )


def objective_plan_line(plan: ObjectivePlan, cells: int) -> str:
    """What `run` would do with an objective."""
    slots = len(plan.layout.devices)
    return (
        f"study {plan.study.name}: {cells} cells to run, {slots} at a time on "
        f"{', '.join(sorted(set(plan.layout.devices)))}: {plan.study.training}"
    )


def trial_lines(study: Study, place: tuple[str, Cell], trial: TrialCell) -> Iterator[str]:
    """What came of the one cell that was tried.

    Args:
        study: that it is of.
        place: panel and cell.
        trial: what came of it.
    """
    panel, cell = place
    yield f"{panel}, seed {study.seeds[0]}, {cell.told}"
    if trial.value is None:
        yield f"failed: {trial.why}"
        yield from (f"    {line}" for line in trial.log)
    elif not math.isfinite(trial.value):
        yield f"{study.metric.name}: diverged"
    else:
        yield f"{study.metric.name}: {trial.value:.6g}"
    if trial.numbers:
        shown = [f"{name} {one:.6g}" for name, one in sorted(trial.numbers.items())]
        more = f", … ({len(shown) - NUMBERS} more)" if len(shown) > NUMBERS else ""
        yield f"other numbers: {', '.join(shown[:NUMBERS])}{more}"
    memory = f", {format_bytes(trial.memory)}" if trial.memory else ""
    points = f"{trial.points} point{'s' * (trial.points != 1)}"
    yield f"curve: {points}; took {_brief(trial.seconds)}{memory}"
    yield from (f"mind: {hint}" for hint in trial.hints)


def _brief(seconds: float) -> str:
    """A duration, of seconds with two digits."""
    return f"{seconds:.2g} s" if seconds < SHORT else format_seconds(seconds)


def whole_line(plan: AnyPlan, cells: int, seconds: float) -> str:
    """What the whole study would cost."""
    workers = len(plan.layout.devices)
    return (
        f"the whole study: {cells} cells on {workers} worker{'s' * (workers > 1)}, about "
        f"{_brief(seconds)}"
    )


def engine_lines(report: EngineReport) -> Iterator[str]:
    """How a task is trained, how fast, and what to change so that it would be trained faster."""
    by = "the plain loop" if report.engine == "referee" else f"engine {report.engine}"
    cells = f"{report.together} cells together" if report.together > 1 else "one cell at a time"
    times = "" if report.times is None else f", {report.times:.1f} × as fast as the plain loop"
    memory = f"{format_bytes(report.memory)} a worker beside PyTorch itself"
    yield f"trained by {by}, {cells}: {1e3 * report.step:.2g} ms a cell and step{times}; {memory}"
    if report.obstacle is not None:
        yield f"engine {report.obstacle.engine} does not train it: {report.obstacle.why}"
        if report.obstacle.remedy is not None:
            yield f"to change: {report.obstacle.remedy}"


def choice_lines(plan: Plan) -> Iterator[str]:
    """Why cells are trained by no faster engine, or cannot go on from checkpoints."""
    choice = plan.choice
    if choice.why:
        by = "the plain loop" if choice.engine == "referee" else f"engine {choice.engine}"
        times = choice.slower or 0
        slower = f", about {times:.0f} × slower" if times >= 1.5 else ""
        yield f"{choice.why}: trained by {by} instead{slower}"
    if plan.no_checkpoint:
        yield f"no checkpoints are kept, so what is interrupted begins anew: {plan.no_checkpoint}"


def failure_lines(failures: Sequence[Failure], retry: str | None) -> list[str]:
    """The cells that were given up, and the command that tries them again if there is one."""
    if not failures:
        return []
    lines, told = [], 0
    for f in failures[:FAILURES]:
        why, said = failure_parts(f.reason)
        cell = f"{f.panel}, seed {f.seed}, {f.cell.told}"
        lines.append(f"failed: {cell}: {why}")
        if told < LOGS:
            lines += [f"    {line}" for line in said]
        elif said:
            lines.append(f"    {said[-1]}")  # where its log is
        told += bool(said)
    if len(failures) > FAILURES:
        lines.append(f"… and {len(failures) - FAILURES} more failed cells")
    return [*lines, *([f"try again:  {retry}"] if retry else [])]


def witness_lines(
    study: Study, witnesses: Sequence[Witness], noise: Mapping[str, float]
) -> Iterator[str]:
    """How the witness of each panel lies, where there is one.

    Args:
        study: whose witnesses they are.
        witnesses: the one of each panel that counts.
        noise: standard deviation between seeds, in the metric's unit, of panels with several.
    """
    for one in witnesses:
        name = marked(one.panel, not one.agrees)
        said = one.line(noise.get(one.panel), study.panel(one.panel).epochs, study.metric)
        yield f"witness of {name}: {said}"
    if not all(one.agrees for one in witnesses):
        yield f"{MARK} {DOUBT}: train it with --engine referee under another --name"


def merged_line(merged: Merged, resume: str, metric: Metric = TEST_ERROR) -> str:
    """What a merge took of one study, and what it left for the command that resumes it."""
    parts = [f"{merged.taken} cells taken", f"{merged.there} were there"]
    if merged.differing:
        most = f"at most {metric.apart(merged.difference)}"
        parts.append(
            f"of which {merged.differing} have another {metric.noun}, by {most}: kept as they are"
        )
    if merged.torn:
        parts.append(f"{merged.torn} left out, which are not whole")
    if merged.open:
        parts.append(f"{merged.open} open ({resume})")
    return f"study {merged.study}: {', '.join(parts)}"
