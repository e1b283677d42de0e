"""A cell of a study that runs a command: one process, its measurements, what became of it."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from landscape_study.study.errors import LeaseLostError, StudyMismatchError, TrainingError
from landscape_study.study.objectives.kept_folders import LOG, ROOM, begin, settle
from landscape_study.study.objectives.measurements import Measurements
from landscape_study.study.objectives.process import Ended, end_leftovers, run_process
from landscape_study.study.objectives.slot import slot_environment
from landscape_study.study.planning.command_plan import command_identity
from landscape_study.study.records.failure_words import failure_parts, failure_words
from landscape_study.study.records.identity import require_same
from landscape_study.study.records.run_outcome import RunOutcome
from landscape_study.study.running.job import Job, Pulse
from landscape_study.study.spec.placeholders import Filling, filled
from landscape_study.study.store import Claim, Store

FIRST_FAILURES = 3  # cells that failed before any was finished: then it is not single cells
TRIES = 3  # of a run that is killed from outside, as for lack of memory


def train_cell(job: Job, store: Store, device: str, claim: Claim) -> None:
    """Run the command for the one cell of a claim, and record what became of it.

    Raises:
        StudyMismatchError: the script is not what it was when the study was created.
        TrainingError: the first cells all failed, so that it is not single cells that do.
    """
    (cell,) = claim.cells
    panel = job.study.panel(claim.panel)
    folder = cell_folder(job, claim)
    filling = Filling(cell.alpha, cell.lambda_, claim.seed, panel.pair, panel.name, folder)
    found = Measurements(job.study.metric.name, job.study.pattern)
    pulse = Pulse(job, store, claim)
    try:
        _require_unchanged(job, store, claim)
        begin(folder)
        end_leftovers(folder)
        filling.result.unlink(missing_ok=True)
        ended = run_process(
            filled(job.study.command or (), filling.words),
            filling.environment | slot_environment(device, job.threads),
            log=folder / LOG,
            limits=job.limits,
            on_line=found.read_line,
            on_look=pulse,
            cwd=job.cwd or None,
        )
        found.read_result(filling.result)
        reason = _why_failed(ended, found)
        if reason is None:
            store.record_run(claim, _outcome(ended, found, job), job.study.metric.name)
            settle(folder, keep=job.kept is not None, room=job.kept or 0)
        elif ended.code == -signal.SIGTERM and ended.stopped is None:
            store.release(claim)  # whoever ended it wants the machine, not the cell, to stop
        elif ended.code == -signal.SIGKILL and ended.stopped is None and claim.attempts < TRIES:
            store.try_again(claim)  # when others are done, there may be more memory
        else:
            _give_up(job, store, claim, reason, ended.tail)
            settle(folder, keep=True, room=max(ROOM, job.kept or 0))
    except LeaseLostError:
        pass  # another worker has the cell, or the run is over; look what is next
    except OSError as e:
        store.release(claim)
        raise TrainingError(
            f"study '{job.study.name}': '{(job.study.command or ('',))[0]}' cannot be started on "
            f"{socket.gethostname()} ({e}): name a program, and work in a folder, that is there"
        ) from e


def _require_unchanged(job: Job, store: Store, claim: Claim) -> None:
    """Check that the script is what it was when the study was created, here and now.

    Raises:
        StudyMismatchError: it is not; the claim is given back.
    """
    here = f"{store.name}: a worker on {socket.gethostname()}"
    found = command_identity(job.study, Path(job.cwd))
    try:
        require_same(job.identity, found, job.study.name, job.study.task, here)
    except StudyMismatchError:
        store.release(claim)
        raise


def cell_folder(job: Job, claim: Claim) -> Path:
    """The folder of a claim's cell: the same for whoever claims it again."""
    return Path(job.folder) / f"chunk-{claim.chunk_id}"


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
        seen = f"{ended.memory / 1024**3:.2f} GB seen"
        return f"it was killed {TRIES} times, as for lack of memory ({seen})"
    if ended.code < 0:
        return f"it was ended by signal {signal.Signals(-ended.code).name}"
    if ended.code:
        return f"it ended with exit code {ended.code}"
    return found.lacking if found.value is None else None


def _give_up(job: Job, store: Store, claim: Claim, reason: str, tail: Sequence[str]) -> None:
    """Mark the cell failed, with the last lines of its log.

    Raises:
        TrainingError: the first cells of the study all failed.
    """
    log = f"{socket.gethostname()}:{cell_folder(job, claim) / LOG}"
    store.fail(claim, failure_words(reason, tail, log))
    failed = len(store.failures(job.study.name))
    if failed >= FIRST_FAILURES and not store.has_finished(job.study.name):
        _, said = failure_parts(failure_words(reason, tail))
        raise TrainingError(
            "\n    ".join([f"study '{job.study.name}': {reason}", *said])
            + f"\nthe first {failed} cells all failed: mend that, then resume with "
            f"--retry-failed; whole logs are in {job.folder}"
        )
