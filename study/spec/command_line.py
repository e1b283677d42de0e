"""Commands that are told to users, as remedies and as what to do next."""

from __future__ import annotations

from landscape_study.study.spec.shell_words import shell_words
from landscape_study.study.spec.study import Study


def command_line(verb: str, study: Study, store: str, *options: str) -> str:
    """The `landscape` command that does this with a study, to be pasted into a shell.

    A task of a user's own is named again, and a command, sampler or rule trusted: user code runs
    only where a user says so.

    Args:
        verb: the subcommand, which takes the study's name.
        store: the database as a user names it.
    """
    task = ("--task", study.task) if ":" in study.task else ()
    trust = ("--trust-command",) if study.command is not None or study.own_helpers else ()
    words = ["landscape", verb, study.name, *options, *task, *trust, "--store", store]
    return shell_words(words)


def retry_line(study: Study, store: str) -> str:
    """What tries its failed cells again, once the user mended what they failed of.

    Args:
        store: the database as a user names it.
    """
    if study.is_handed_over:
        settings = "settings=RunSettings(accept_source=True)"
        return f"resume('{study.name}', task=…, retry_failed=True, {settings})"
    has_rule = any(panel.source for panel in study.panels)
    is_own = study.command is not None or ":" in study.task or has_rule
    mended = ("--accept-source",) if is_own else ()
    return command_line("resume", study, store, "--retry-failed", *mended)
