"""What a task is known by: results of another are not mixed with those that are there."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.errors import StudyMismatchError


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


def require_same(stored: Identity, found: Identity, study: str, task: str, where: str) -> None:
    """Check that a task is the one that the study of this name was created with.

    Args:
        stored: of the task when the study was created.
        found: of the task now.
        study: its name.
        task: the task's name.
        where: names the database, and who found it if that was a worker.

    Raises:
        StudyMismatchError: it has other data, another network or, if known, another source.
    """
    if stored.fingerprint != found.fingerprint:
        raise StudyMismatchError(
            f"{where}: task '{task}' has other data or another network than when study '{study}' "
            f"was created (fingerprint {stored.fingerprint}, now {found.fingerprint}): choose "
            "another --name; if you changed nothing, its data() differs from call to call or from "
            "machine to machine: let it read a file, or fix its seed"
        )
    if None not in (stored.source, found.source) and stored.source != found.source:
        here_only = task.startswith("__main__:")  # a function that was handed over in Python
        again = (
            "settings=RunSettings(accept_source=True)"
            if here_only
            else f"landscape resume {study} --accept-source (or merge --accept-source)"
        )
        raise StudyMismatchError(
            f"{where}: the source of task '{task}' is not what it was when study '{study}' was "
            f"created (digest {stored.source}, now {found.source}): choose another "
            f"{'name' if here_only else '--name'}; if what it trains is still the same, say so: "
            f"{again}"
        )
