"""Break the engines in every way there is, and count what the trial and the witness catch.

    python -m tests.faults [--engine vmap] [WORD ...]

Exits with 1 if an engine that is whole is said to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import click
import torch

from landscape_study.study.tasks.task import Task
from tests.faults.catalogue import FAULTS
from tests.faults.fault import ENGINES, Fault
from tests.faults.judge import Judge, Verdict
from tests.faults.subjects import KEEPER, READER

WHOLE = ((READER, "vmap"), (READER, "captured"), (KEEPER, "vmap"))


@dataclass(frozen=True)
class Row:
    """What is said of one engine with one fault."""

    name: str
    fault: Fault
    engine: str
    verdict: Verdict

    def __str__(self) -> str:
        return " | ".join(
            [
                f"{self.name:38}",
                f"{self.engine:8}",
                f"trial: {self.verdict.tried or '-':75}",
                f"witness: {_by_witness(self.verdict)}",
            ]
        )


@click.command()
@click.option("--engine", "engines", multiple=True, type=click.Choice(ENGINES), default=ENGINES)
@click.argument("words", nargs=-1)
def main(engines: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Break the engines by all faults, or by those whose names contain one of the WORDS."""
    torch.set_num_threads(1)
    rows = []
    for row in judged(engines, words):
        click.echo(row)
        rows.append(row)
    alarms = list(false_alarms(engines))
    click.echo("\n".join(["", *summary(rows), f"{len(alarms)} false alarms", *alarms]))
    raise SystemExit(bool(alarms))


@cache
def judge_of(task: Task) -> Judge:
    """Whoever knows what is right for the task."""
    return Judge(task)


def judged(engines: Sequence[str], words: Sequence[str] = ()) -> Iterator[Row]:
    """Each fault in each engine."""
    for name, fault in FAULTS.items():
        if not words or any(word in name for word in words):
            for engine in fault.engines:
                if engine in engines:
                    verdict = judge_of(fault.task).verdict(fault, engine)
                    yield Row(name, fault, engine, verdict)


def false_alarms(engines: Sequence[str]) -> Iterator[str]:
    """What is said of engines that are whole."""
    for task, engine in WHOLE:
        if engine in engines:
            for interrupted in (False, True):
                verdict = judge_of(task).of(engine, interrupted=interrupted)
                if verdict.caught:
                    yield f"  {task.name}, {engine}: {verdict}"


def _by_witness(verdict: Verdict) -> str:
    differing, cells = verdict.differing, len(verdict.witnesses)
    if differing:
        return f"{len(differing)} of {cells} cells, {differing[0].why}"
    return f"- (losses within {max(w.distance for w in verdict.witnesses):.0e})"


def summary(rows: Sequence[Row]) -> list[str]:
    """How many are caught by what."""
    own = [row for row in rows if not row.fault.shared]
    verdicts = [row.verdict for row in own]
    passed = [v for v in verdicts if not v.tried]
    seen = [v for v in verdicts if v.differing]
    share = sum(len(v.differing) / len(v.witnesses) for v in verdicts)
    soon = sum(any(w.soon for w in v.differing) for v in seen)
    shared = [row.verdict.caught for row in rows if row.fault.shared]
    neither = [f"{row.name} ({row.engine})" for row in own if not row.verdict.caught]
    return [
        f"{len(own) - len(passed)} of {len(own)} caught by the trial",
        f"{sum(bool(v.differing) for v in passed)} of the other {len(passed)} by the witness",
        f"{len(seen)} of {len(own)} caught by the witness of some cell, {share:.0f} by that of a "
        f"random one on average; {soon} if it trains an eighth of the epochs",
        f"{len(neither)} of {len(own)} by neither: {', '.join(neither) or '-'}",
        f"{sum(shared)} of {len(shared)} in code that the referee shares",
    ]


if __name__ == "__main__":
    main()
