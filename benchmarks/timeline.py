"""The command line with marks on its way from the command to the first step, and to the prompt.

    python -m benchmarks.timeline FOLDER run digits-fig2 --store sqlite:///…

does what `landscape run digits-fig2 --store …` does, with the same imports at the same time. Each
process writes the moments that it passed through as JSON into FOLDER.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Marks = dict[str, float]  # seconds since 1970, by what was reached then

# What is reached at the end of each part, and by whom: the first worker that made a step, or the
# parent. Those before TRAINED lead from the command to the first step, the others to the prompt.
PARTS = {
    "Python and the command line": "called",
    "imports of the parent": "imported",
    "planning": "planned",
    "the database": "stored",
    "processes of the workers": "worker",
    "their data and the first claim": "claimed",
    "the first step": "stepped",
}
TRAINED = "recorded"
LAST_PARTS = {
    "until the run has ended": "trained",
    "status and verdicts": "told",
    "the figure": "drawn",
    "the end of the process": "ended",
}


class Recorder:
    """Notes when functions are called or return: the first time, or the last.

    Args:
        path: of the JSON file that it keeps up to date.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.marks = path, Marks()

    def note(self, mark: str, *, again: bool = False) -> None:
        """Now, unless that has been before; with `again`, as well then."""
        if again or mark not in self.marks:
            self.marks[mark] = time.time()
            self.path.write_text(json.dumps(self.marks), encoding="utf-8")

    def watch(
        self, owner: Any, name: str, before: str = "", after: str = "", *, again: bool = False
    ) -> None:
        """Note when a function of `owner` is called, and when it has returned."""
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if before:
                self.note(before, again=again)
            result = function(*args, **kwargs)
            if after:
                self.note(after, again=again)
            return result

        setattr(owner, name, watched)


def main(folder: Path, arguments: list[str]) -> None:
    """Run the command line with these arguments, marks going into `folder`."""
    from landscape_study.__main__ import program
    from landscape_study.commands import running
    from landscape_study.study.running import processes

    recorder = Recorder(folder / "parent.json")
    recorder.note("called")
    recorder.watch(running, "_plan", before="imported", after="planned")
    recorder.watch(processes.Processes, "start", before="stored")
    recorder.watch(running, "_train", after="trained", again=True)
    recorder.watch(running, "print_findings", after="told")
    recorder.watch(running, "save_figure", after="drawn")
    processes.work = functools.partial(marked_work, folder)
    sys.argv[1:] = arguments
    program()


def marked_work(folder: Path, job: Any, device: str) -> bool:
    """What a worker does, with marks."""
    recorder = Recorder(folder / f"worker-{os.getpid()}.json")
    recorder.note("worker")
    from landscape_study.study.running.job import Pulse
    from landscape_study.study.running.worker import work
    from landscape_study.study.store import Store

    beat = Pulse.__call__

    def step(pulse: Pulse) -> None:  # is called before each step
        if pulse.steps == 1:
            recorder.note("stepped")
        beat(pulse)

    Pulse.__call__ = step  # type: ignore[method-assign]
    recorder.watch(Store, "claim", after="claimed")
    recorder.watch(Store, "record", after=TRAINED, again=True)
    return work(job, device)


def read(folder: Path, started: float, ended: float) -> dict[str, float]:
    """Seconds of each part of a run, by its name; and of both ways.

    Args:
        folder: with the marks.
        started: when the process was made, in seconds since 1970.
        ended: when it was gone.
    """
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("worker-*.json")]
    workers = [marks for marks in found if "stepped" in marks]  # others came too late
    first = min(workers, key=lambda marks: marks["stepped"])
    marks = json.loads((folder / "parent.json").read_text("utf-8")) | first | {"ended": ended}
    marks[TRAINED] = max(one[TRAINED] for one in workers)
    return {
        **_between(started, PARTS, marks),
        "from the command to the first step": marks["stepped"] - started,
        **_between(marks[TRAINED], LAST_PARTS, marks),
        "from the last result to the prompt": ended - marks[TRAINED],
    }


def _between(moment: float, parts: dict[str, str], marks: Marks) -> dict[str, float]:
    """Seconds between marks; of what did not happen, as of a figure, there are none."""
    taken = {}
    for part, mark in parts.items():
        if mark in marks:
            taken[part], moment = marks[mark] - moment, marks[mark]
    return taken


def timed(study_toml: str, *options: str) -> dict[str, float]:
    """The parts of one run of a study in a process of its own, on a fresh database."""
    from benchmarks.timed_commands import run_command

    with tempfile.TemporaryDirectory(prefix="timeline-") as name:
        folder = Path(name)
        study, database = folder / "study.toml", folder / "cells.db"
        study.write_text(study_toml, encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.timeline", name, "run", str(study)]
        command += ["--store", str(database), "--device", "cpu", "--no-witness", *options]
        done = run_command(command, folder / "log")
        return read(folder, done.started, done.started + done.wall_s)


if __name__ == "__main__":
    # By its module's name: what is sent to the workers must be importable there.
    from benchmarks.timeline import main as importable_main

    importable_main(Path(sys.argv[1]), sys.argv[2:])
