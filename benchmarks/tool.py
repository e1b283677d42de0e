"""The command line of this tool with a stopwatch on its database.

    python -m benchmarks.tool FOLDER run digits-fig2 --store sqlite:///…

does what `landscape run digits-fig2 --store …` does. Every call of a public method of `Store`,
in the parent and in each worker, is timed, waiting for locks included; when it ends, each process
writes its times as JSON into FOLDER.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from landscape_study.study.running import processes
from landscape_study.study.store import Store

CLAIM_OPERATIONS = ("claim", "record", "beat")  # what a worker cannot do without


class Stopwatch:
    """Times the public methods of `Store`, and opening one, as long as it is entered.

    Attributes:
        calls: how often each was called.
        seconds: wall time in each.
        first: when each was called first, in seconds since 1970.
    """

    def __init__(self, role: str, folder: Path) -> None:
        self.role, self.folder = role, folder
        self.calls: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)
        self.first: dict[str, float] = {}
        self.originals: dict[str, Any] = {}

    def __enter__(self) -> Stopwatch:
        self.began, self.started = time.time(), time.perf_counter()
        for name, method in list(vars(Store).items()):
            if callable(method) and (name == "__init__" or not name.startswith("_")):
                self.originals[name] = method
                setattr(Store, name, self._timed(name, method))
        return self

    def __exit__(self, *_: object) -> None:
        for name, method in self.originals.items():
            setattr(Store, name, method)
        record = {
            "role": self.role,
            "began": self.began,
            "first": self.first,
            "lifetime_s": time.perf_counter() - self.started,
            "calls": dict(self.calls),
            "seconds": dict(self.seconds),
        }
        path = self.folder / f"{self.role}-{time.time_ns()}.json"
        begun = path.with_suffix(".begun")  # a worker may be ended while it writes
        begun.write_text(json.dumps(record), encoding="utf-8")
        begun.replace(path)

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.first.setdefault(name, time.time())
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.calls[name] += 1
                self.seconds[name] += time.perf_counter() - started

        return timed


def timed_work(folder: Path, *arguments: Any) -> bool:
    """`running.worker.work` under a stopwatch; runs in a worker process."""
    with Stopwatch("worker", folder):
        return processes.work(*arguments)


def read_stopwatches(folder: Path) -> dict[str, Any]:
    """Database work of one run of the tool.

    Returns:
        workers: how many.
        chunks: how many they recorded.
        worker_s: lifetimes of the workers without their start-up, summed.
        claim_record_beat_s, share: time of these three in the workers; its share of worker_s.
        everything_s, share_of_everything: the same for all calls, those of the parent too.
        calls: by role and operation, how often and how many seconds.
        marks: as `_marks` says.
    """
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    calls: dict[str, dict[str, dict[str, float]]] = {"parent": {}, "worker": {}}
    for record in records:
        for name, count in record["calls"].items():
            total = calls[record["role"]].setdefault(name, {"calls": 0, "seconds": 0.0})
            total["calls"] += count
            total["seconds"] += record["seconds"][name]
    lifetimes = [r["lifetime_s"] for r in records if r["role"] == "worker"]
    claims = sum(
        calls["worker"].get(name, {"seconds": 0.0})["seconds"] for name in CLAIM_OPERATIONS
    )
    everything = sum(total["seconds"] for role in calls.values() for total in role.values())
    return {
        "workers": len(lifetimes),
        "chunks": calls["worker"]["record"]["calls"],
        "worker_s": sum(lifetimes),
        "claim_record_beat_s": claims,
        "share": claims / sum(lifetimes),
        "everything_s": everything,
        "share_of_everything": everything / sum(lifetimes),
        "calls": calls,
        "marks": _marks(records),
    }


def _marks(records: list[dict[str, Any]]) -> dict[str, float]:
    """When a run came how far, in seconds since 1970; the mean over its workers.

    Returns:
        parent_ready: the parent makes its workers.
        worker_ready: a worker has imported what it needs.
        data_ready: it has opened the database, has the task's data, and claims its first chunk.
    """
    (parent,) = (r for r in records if r["role"] == "parent")
    workers = [r for r in records if r["role"] == "worker"]
    return {
        "parent_ready": parent["first"]["start_run"],
        "worker_ready": statistics.fmean(r["began"] for r in workers),
        "data_ready": statistics.fmean(r["first"]["claim"] for r in workers),
    }


def main(folder: Path, arguments: list[str]) -> None:
    """Run the command line with these arguments, the stopwatches writing into `folder`."""
    from landscape_study.__main__ import program

    processes.work = functools.partial(timed_work, folder)
    sys.argv[1:] = arguments
    with Stopwatch("parent", folder):
        program()


if __name__ == "__main__":
    # By its module's name: what is sent to the workers must be importable there.
    from benchmarks.tool import main as importable_main

    importable_main(Path(sys.argv[1]), sys.argv[2:])
