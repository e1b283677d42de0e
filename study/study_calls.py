"""A study in one call, from Python: what `landscape run`, `resume`, `worker` and others do.

Each function takes a database as a `Store`, its URL or its path. What it may raise is a
`study.errors.LandscapeError`, whose message says what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from landscape_study.study.console.terminal_audience import TerminalAudience
from landscape_study.study.planning.request import (
    Changes,
    changed_study,
    named_study,
    resumed_study,
)
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running import training_run
from landscape_study.study.running.audience import Audience
from landscape_study.study.spec.presets import DEFAULT
from landscape_study.study.spec.study import Study
from landscape_study.study.store import DEFAULT_URL, Store, checking, merging, opened

Database = Store | Path | str


def run(
    study: Study | Path | str = DEFAULT,
    *,
    store: Database = DEFAULT_URL,
    quiet: bool = False,
    settings: RunSettings | None = None,
    **changes: Any,
) -> Study:
    """Train a study, or what is new of it, and return it as it is in the database.

    Args:
        study: a `Study`, a preset's name, or the path of a study file.
        store: the database, made if need be.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.
        **changes: of the study: name, task, pairs, seeds, epochs, batch_size, schedule, alpha,
            lambda_. An axis is written as in a study file, or is a list or dict.

    >>> grid = {"pairs": ["adamw"], "alpha": [0.01, 0.1], "lambda_": [0, 0.001], "epochs": 1}
    >>> study = run("digits-fig2", store="mine.db", quiet=True, name="mine", seeds=1, **grid)
    >>> [panel.name for panel in study.panels]
    ['adamw']
    >>> Store("mine.db").count("mine")
    4
    """
    settings, told = settings or RunSettings(), audience(quiet=quiet)
    asked = changed_study(_known(study), Changes(**changes))
    address = store.url if isinstance(store, Store) else str(store)
    plan = training_run.planned(asked, settings, address, told)
    with opened(store, create=True) as there:  # only now: else the database would be left behind
        training_run.train(plan, there, settings, told)
        return there.study(asked.name)


def resume(
    name: str | None = None,
    *,
    store: Database = DEFAULT_URL,
    task: str | None = None,
    retry_failed: bool = False,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> Study:
    """Go on with a study where it was interrupted, by default with the last one started.

    Args:
        task: names the study's task again, if it is the user's own.
        retry_failed: whether to train the cells too that were given up.
    """
    settings, told = settings or RunSettings(), audience(quiet=quiet)
    with opened(store) as there:
        study = resumed_study(there, name, task)
        if retry_failed:
            there.retry_failed(study.name)
        plan = training_run.planned(study, settings, there.url, told)
        training_run.train(plan, there, settings, told)
        return there.study(study.name)


def worker(
    name: str,
    *,
    store: Database = DEFAULT_URL,
    task: str | None = None,
    stay: bool = True,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> None:
    """Train what is open of a study in a database, beside others that do so.

    Args:
        task: names the study's task again, if it is the user's own.
        stay: whether to stay while others hold all that is open: they may die.
    """
    settings, told = settings or RunSettings(), audience(quiet=quiet)
    with opened(store) as there:
        study = resumed_study(there, name, task)
        plan = training_run.planned(study, settings, there.url, told)
        training_run.join(plan, there, settings, told, stay=stay)


def check(name: str | None = None, *, store: Database = DEFAULT_URL) -> list[checking.Finding]:
    """What is wrong with a database, or worth knowing, of one study or of all.

    >>> grid = {"pairs": ["adamw"], "alpha": [0.1], "lambda_": [0], "epochs": 1}
    >>> study = run("digits-fig2", store="whole.db", quiet=True, name="one", seeds=1, **grid)
    >>> check(store="whole.db")
    []
    """
    with opened(store) as there:
        return list(checking.check(there, [name] if name else there.names()))


def merge(
    into: Database, source: Database, *, studies: tuple[str, ...] = (), accept_source: bool = False
) -> list[merging.Merged]:
    """Take over into one database what it lacks of the studies in another.

    Args:
        into: made if need be.
        source: stays as it is.
        studies: only these.
        accept_source: whether the source of a user's own task may differ.
    """
    with opened(source) as there:
        for name in studies:
            there.study(name)  # or else `into` is not made
        with opened(into, create=True) as here:
            return list(merging.merge(here, there, studies, accept_source=accept_source))


def _known(study: Study | Path | str) -> Study:
    if isinstance(study, Path):
        return Study.from_file(study)
    return study if isinstance(study, Study) else named_study(study)


def audience(*, quiet: bool) -> Audience:
    """Who is told of a call: the terminal or notebook, or nobody."""
    return training_run.SILENT if quiet else TerminalAudience(Console(), live=False)
