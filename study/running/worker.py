"""One worker: claims, trains and records chunk after chunk, until the study is done.

It shares nothing but the database with others, so that any of them may die without loss.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable

import torch

from landscape_study.study.errors import LandscapeError, TrainingError
from landscape_study.study.records.provenance import Worker
from landscape_study.study.running.asker import Asker
from landscape_study.study.running.job import (
    POLL,
    Job,
    ObjectiveJob,
    TaskJob,
    outlive_no_parent,
    stop_if_orphaned,
)
from landscape_study.study.running.objective_runs import ObjectiveRuns, StopAskedError
from landscape_study.study.running.task_chunks import TaskChunks, told
from landscape_study.study.store import Claim, Store
from landscape_study.study.training.arithmetic import worker_arithmetic


def work(job: Job, device: str) -> bool:
    """Train until there is nothing left to claim; whether there was: False if the run is over.

    Args:
        device: "cpu", "cuda:1", or "auto" for CUDA where this machine has some.
    """
    if job.parent is None:  # on a machine whose own path is other
        sys.path += [folder for folder in job.path if folder not in sys.path]
    else:
        sys.path[:] = job.path
        threading.Thread(target=outlive_no_parent, args=(job,), daemon=True).start()
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        with worker_arithmetic(device, job.threads, tf32=job.study.options.tf32):
            return _work(job, device)
    except LandscapeError:
        raise
    except BaseException as e:  # the user's code may call sys.exit; and not every error travels
        where = f"study '{job.study.name}': a worker on {device}"
        raise TrainingError(f"{where} failed: {told(e)}: mend that and resume") from e


def _work(job: Job, device: str) -> bool:
    store = Store(job.store)
    try:
        if isinstance(job, ObjectiveJob):
            with ObjectiveRuns(job, store, device) as runs:
                return _claim_all(job, store, device, runs.train)
        assert isinstance(job, TaskJob)
        return _claim_all(job, store, device, TaskChunks(job, store, device).train)
    except StopAskedError:
        return False
    finally:
        store.close()


def _claim_all(job: Job, store: Store, device: str, do: Callable[[Claim], None]) -> bool:
    """Claim chunk after chunk until there is no more to do; False if the run is over before."""
    name, left = job.study.name, math.inf if job.cells is None else job.cells
    asker = Asker(store, name, job.width if isinstance(job, TaskJob) else 1)
    while store.is_running(job.run_id):
        claim = store.claim(name, Worker(device), job.run_id)  # a new token for each claim
        if claim is not None:
            do(claim)
            left -= len(claim.cells)
            if left <= 0:
                return True
        elif asker.ask():
            continue
        elif job.stay and store.is_open(name):  # others hold what is left; they may die
            stop_if_orphaned(job)
            time.sleep(POLL)
            store.release_dead(name)
        else:
            return True
    return False
