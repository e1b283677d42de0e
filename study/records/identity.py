"""What a task is known by: results of another are not mixed with those that are there."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.errors import StudyMismatchError
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Study

MERGED = " (or merge --accept-source)"


@dataclass(frozen=True)
class Identity:
    """Of a task as one process holds it (see `tasks.task.identify`).

    Attributes:
        fingerprint: of its data, as stored and normalized, and of its network's shapes.
        source: of the modules of a user's own task; None for a built-in one, and for one that a
            former version put into a database.
    """

    fingerprint: str
    source: str | None = None


def require_same(
    stored: Identity, found: Identity, study: Study, store: str, worker: str | None = None
) -> None:
    """Check that a task is the one that the study of this name was created with.

    Args:
        stored: of the task when the study was created.
        found: of the task now.
        study: that it is of.
        store: the database as a user names it.
        worker: the machine of the worker that found it; None for whoever began the run.

    Raises:
        StudyMismatchError: it has other data, another network or, if known, another source.
    """
    where = store if worker is None else f"{store}: a worker on {worker}"
    if stored.fingerprint != found.fingerprint:
        raise StudyMismatchError(
            f"{where}: task '{study.task}' has other data or another network than when study "
            f"'{study.name}' was created (fingerprint {stored.fingerprint}, now "
            f"{found.fingerprint}): choose "
            "another --name; if you changed nothing, its data() differs from call to call or from "
            "machine to machine: let it read a file, or fix its seed"
        )
    if None not in (stored.source, found.source) and stored.source != found.source:
        option, again = (
            ("name", "settings=RunSettings(accept_source=True)")
            if study.is_handed_over
            else ("--name", f"{command_line('resume', study, store, '--accept-source')}{MERGED}")
        )
        what = "its command" if study.command is not None else f"task '{study.task}'"
        raise StudyMismatchError(
            f"{where}: the source of {what} is not what it was when study '{study.name}' was "
            f"created (digest {stored.source}, now {found.source}): choose another {option}; if "
            f"what it trains is still the same, say so: {again}"
        )
