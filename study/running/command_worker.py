"""A cell of a study that runs a command: one process, its measurements, what became of it."""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from landscape_study.study.errors import LeaseLostError, TrainingError
from landscape_study.study.objectives.measurements import Measurements
from landscape_study.study.objectives.process import Ended, end_leftovers, run_process
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.running.job import Job, Pulse
from landscape_study.study.spec.placeholders import Filling, filled
from landscape_study.study.store import Claim, Store

FIRST_FAILURES = 3  # cells that failed before any was finished: then it is not single cells
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS"),
)
SHOWN = 5  # last lines of a log in a reason


def train_cell(job: Job, store: Store, device: str, claim: Claim) -> None:
    """Run the command for the one cell of a claim, and record what became of it.

    Raises:
        TrainingError: the first cells all failed, so that it is not single cells that do.
    """
    (cell,) = claim.cells
    panel = job.study.panel(claim.panel)
    folder = cell_folder(job, claim)
    filling = Filling(cell.alpha, cell.lambda_, claim.seed, panel.pair, panel.name, folder)
    found = Measurements(job.study.metric.name, job.study.pattern)
    pulse = Pulse(job, store, claim)
    folder.mkdir(parents=True, exist_ok=True)
    end_leftovers(folder)
    filling.result.unlink(missing_ok=True)
    try:
        ended = run_process(
            filled(job.study.command or (), filling.words),
            filling.environment | _shares(job, device),
            log=folder / "log.txt",
            limits=job.limits,
            on_line=found.read_line,
            on_look=pulse,
        )
        found.read_result(filling.result)
        reason = _why_failed(ended, found)
        if reason is None:
            store.record_run(claim, _outcome(ended, found, job), job.study.metric.name)
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # if it was the last
        elif ended.code == -signal.SIGTERM and ended.stopped is None:
            store.release(claim)  # whoever ended it wants the machine, not the cell, to stop
        else:
            _give_up(job, store, claim, reason)
    except LeaseLostError:
        pass  # another worker has the cell, or the run is over; look what is next
    except OSError as e:
        store.release(claim)
        raise TrainingError(
            f"study '{job.study.name}': '{(job.study.command or ('',))[0]}' cannot be started "
            f"({e.strerror or e}): name a program that is there"
        ) from e


def cell_folder(job: Job, claim: Claim) -> Path:
    """The folder of a claim's cell: the same for whoever claims it again."""
    return Path(job.folder) / f"chunk-{claim.chunk_id}"


def _shares(job: Job, device: str) -> dict[str, str]:
    """Threads, and the GPU, that a run may use."""
    kind, _, index = device.partition(":")
    visible = {"CUDA_VISIBLE_DEVICES": index or "0"} if kind == "cuda" else {}
    threads = {name: str(job.threads) for name in THREADS if name not in os.environ}
    return {**threads, **visible, "PYTHONUNBUFFERED": "1", "LANDSCAPE_DEVICE": kind}


def _outcome(ended: Ended, found: Measurements, job: Job) -> RunOutcome:
    value = found.value
    assert value is not None
    lost = not math.isfinite(value)
    return RunOutcome(
        value=job.study.metric.sign * math.inf if lost else value,
        diverged=lost,
        seconds=ended.seconds,
        curves=found.curves(),
    )


def _why_failed(ended: Ended, found: Measurements) -> str | None:
    """Why a run has no result; None if it has one."""
    if ended.stopped == "timeout":
        return f"it took longer than its time, {ended.seconds:.0f} s"
    if ended.stopped == "memory":
        return f"it took more than its memory, {ended.memory / 1024**3:.2f} GB"
    if ended.code == -signal.SIGKILL:
        return f"it was killed, as for lack of memory ({ended.memory / 1024**3:.2f} GB seen)"
    if ended.code < 0:
        return f"it was ended by signal {signal.Signals(-ended.code).name}"
    if ended.code:
        return f"it ended with exit code {ended.code}"
    return found.lacking if found.value is None else None


def _give_up(job: Job, store: Store, claim: Claim, reason: str) -> None:
    """Mark the cell failed, with the last lines of its log.

    Raises:
        TrainingError: the first cells of the study all failed.
    """
    log = cell_folder(job, claim) / "log.txt"
    lines = _last_lines(log)
    said = f": {' | '.join(lines)}" if lines else ""
    store.fail(claim, f"{reason}{said}")
    failed = len(store.failures(job.study.name))
    if failed >= FIRST_FAILURES and not store.has_finished(job.study.name):
        raise TrainingError(
            f"study '{job.study.name}': the first {failed} cells all failed, the last since "
            f"{reason}{said}; mend that, then resume with --retry-failed; whole logs are in "
            f"{job.folder}"
        )


def _last_lines(log: Path) -> Sequence[str]:
    with suppress(OSError):
        lines = log.read_text("utf-8", "replace").splitlines()
        return [line.strip()[:200] for line in lines if line.strip()][-SHOWN:]
    return []
