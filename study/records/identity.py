"""What a task is known by: results of another are not mixed with those that are there."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.errors import StudyMismatchError
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Study

ACCEPTED = "settings=RunSettings(accept_source=True)"
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
        what = "its command" if study.command is not None else f"task '{study.task}'"
        raise _other_source(where, what, stored.source, found.source, study, store)


def require_same_code(stored: Study, found: Study, store: str, worker: str | None = None) -> None:
    """Check that the code of pairs is what the study of this name was created with.

    Args:
        stored: the study when it was created.
        found: the study now; what panels both have is compared.
        store, worker: see `require_same`.

    Raises:
        StudyMismatchError: a rule of the user's own has another source.
    """
    where = store if worker is None else f"{store}: a worker on {worker}"
    here = {panel.name: panel for panel in found.panels}
    for panel in stored.panels:
        other = here.get(panel.name, panel)
        are_known = panel.pair == other.pair and None not in (panel.source, other.source)
        if are_known and panel.source != other.source:
            what = f"pair '{panel.pair}'"
            raise _other_source(where, what, panel.source, other.source, found, store)


def _other_source(
    where: str, what: str, stored: str | None, found: str | None, study: Study, store: str
) -> StudyMismatchError:
    """That something has another source than when the study was created."""
    option, again = (
        ("name", ACCEPTED)
        if study.is_handed_over
        else ("--name", f"{command_line('resume', study, store, '--accept-source')}{MERGED}")
    )
    return StudyMismatchError(
        f"{where}: the source of {what} is not what it was when study '{study.name}' was created "
        f"(digest {stored}, now {found}): choose another {option}; if what it trains is still the "
        f"same, say so: {again}"
    )
