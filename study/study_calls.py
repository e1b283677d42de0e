"""A study in one call, from Python: what `landscape run`, `resume`, `worker` and others do.

Each function takes a database as a `Store`, its URL or its path; without any, the one that
`LANDSCAPE_STORE` names, or results/landscapes.db. What it may raise is a
`study.errors.LandscapeError`, whose message says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from landscape_study.study.console.terminal_audience import TerminalAudience
from landscape_study.study.errors import SpecError, StoreError, UsageError
from landscape_study.study.objectives.objective import named
from landscape_study.study.planning.queued_plan import plan_queue
from landscape_study.study.planning.request import (
    Changes,
    asked_changes,
    changed_study,
    function_study,
    named_study,
    resumed_study,
    study_of_file,
)
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running import training_run
from landscape_study.study.running.audience import Audience
from landscape_study.study.running.processes import prepare
from landscape_study.study.spec.presets import DEFAULT
from landscape_study.study.spec.results_files import no_results
from landscape_study.study.spec.study import Study
from landscape_study.study.store import (
    PanelProgress,
    Store,
    StoreLike,
    address,
    checking,
    merging,
    opened,
)
from landscape_study.study.tasks.data_sets import find_data_set
from landscape_study.study.tasks.download import fetch
from landscape_study.study.validation import names_of

Objective = Callable[..., Any]  # a function of the user's own that trains one cell


def run(
    study: Study | Path | str | Objective = DEFAULT,
    *,
    store: StoreLike = None,
    queue: bool = False,
    quiet: bool = False,
    settings: RunSettings | None = None,
    **changes: Any,
) -> Study:
    """Train a study, or what is new of it, and return it as it is in the database.

    Args:
        study: a `Study`, a preset's name, the path of a study file, or a function of your own
            that trains one cell (see `objective`), for which `changes` say metric, alpha and
            lambda_.
        store: the database, made if need be.
        queue: whether only to put its cells there, for workers to train.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.
        **changes: of the study: name, task, pairs, seeds, epochs, batch_size, schedule, design,
            prune, alpha, lambda_, axes, metric, goal, matters. An axis is written as in a study
            file, or is a list, an array or a dict; axes are those of other numbers, as
            {"beta2": [0.9, 0.99]}, and alpha or lambda_ one number then. Several epochs, as
            [15, 60], are a panel each, see docs/designs.md.

    >>> grid = {"pairs": ["adamw"], "alpha": [0.01, 0.1], "lambda_": [0, 0.001], "epochs": 1}
    >>> study = run("digits-fig2", store="mine.db", quiet=True, name="mine", seeds=1, **grid)
    >>> [panel.name for panel in study.panels]
    ['adamw']
    >>> [(panel.finished, panel.total) for panel in status("mine", store="mine.db")]
    [(4, 4)]
    """
    with no_results(study, SpecError):
        asked = _asked(study, asked_changes(**changes))
    return train(asked, store, settings or RunSettings(), audience(quiet=quiet), queue=queue)


def train(
    study: Study,
    store: StoreLike,
    settings: RunSettings,
    told: Audience,
    *,
    queue: bool = False,
) -> Study:
    """Train a study, or only put its cells into the database; return it as it is there."""
    if queue:
        queued = plan_queue(study, settings)
        with opened(store, create=True) as there:
            training_run.put(queued, there, settings)
            return there.study(study.name)
    prepare(settings)
    plan = training_run.planned(study, settings, address(store), told)
    with opened(store, create=True) as there:  # only now: else the database would be left behind
        with _told_where_it_stopped(there, study.name, told):
            training_run.train(plan, there, settings, told)
        return there.study(study.name)


@contextmanager
def _told_where_it_stopped(store: Store, name: str, told: Audience) -> Iterator[None]:
    """On Ctrl-C, say what is safe and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if name in store.names():  # else it was still being created
            finished = sum(panel.finished for panel in store.progress(name))
            told.tell(
                f"stopped; {finished} finished cells are in {store.name}: "
                f"resume({name!r}) goes on from there"
            )
        raise


def resume(
    name: str | None = None,
    *,
    store: StoreLike = None,
    task: str | Objective | None = None,
    trust_command: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> Study:
    """Go on with a study where it was interrupted, by default with the last one created.

    Args:
        name: of the study.
        store: the database.
        task: names the study's task again, if it is the user's own; a function that was handed
            over is handed over again.
        trust_command: whether to run the command that the study names, if it does, and to import
            samplers, pruners, rules and optimizers of its user's own.
        retry_failed: whether to train the cells too that were given up.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.
    """
    with no_results(name), opened(store) as there:
        study = resumed_study(there, name, named(task), trust_command=trust_command)
        if retry_failed:
            there.retry_failed(study.name)
        return train(study, there, settings or RunSettings(), audience(quiet=quiet))


def worker(
    name: str,
    *,
    store: StoreLike = None,
    task: str | Objective | None = None,
    trust_command: bool = False,
    stay: bool = True,
    cells: int | None = None,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> None:
    """Train what is open of a study in a database, beside others that do so.

    Args:
        name: of the study.
        store: the database.
        task: names the study's task again, if it is the user's own; a function that was handed
            over is handed over again.
        trust_command: whether to run the command that the study names, if it does, and to import
            samplers, pruners, rules and optimizers of its user's own.
        stay: whether to stay while others hold all that is open: they may die.
        cells: after how many each worker leaves, not staying; None for any.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.
    """
    settings, told = settings or RunSettings(), audience(quiet=quiet)
    with no_results(name), opened(store) as there:
        study = resumed_study(there, name, named(task), trust_command=trust_command)
        prepare(settings)
        plan = training_run.planned(study, settings, there.url, told)
        stay = stay and cells is None
        training_run.join(plan, there, settings, told, stay=stay, cells=cells)


def status(name: str, *, store: StoreLike = None) -> list[PanelProgress]:
    """How far each panel of a study is, in its order."""
    with no_results(name), opened(store) as there:
        return there.progress(name)


def check(name: str | None = None, *, store: StoreLike = None) -> list[checking.Finding]:
    """What is wrong with a database, or worth knowing, of one study or of all.

    >>> grid = {"pairs": ["adamw"], "alpha": [0.1], "lambda_": [0], "epochs": 1}
    >>> study = run("digits-fig2", store="whole.db", quiet=True, name="one", seeds=1, **grid)
    >>> check(store="whole.db")
    []
    """
    with no_results(name), opened(store) as there:
        return list(checking.check(there, [name] if name else there.names()))


def merge(
    into: StoreLike,
    source: StoreLike,
    *,
    studies: Sequence[str] | str = (),
    accept_source: bool = False,
) -> list[merging.Merged]:
    """Take over into one database what it lacks of the studies in another.

    Args:
        into: made if need be.
        source: stays as it is; of one without a study nothing is taken.
        studies: only these.
        accept_source: whether the source of a user's own task may differ.

    >>> grid = {"pairs": ["adamw"], "alpha": [0.1], "lambda_": [0], "epochs": 1}
    >>> study = run("digits-fig2", store="here.db", quiet=True, name="one", seeds=1, **grid)
    >>> [(merged.study, merged.taken) for merged in merge("all.db", "here.db")]
    [('one', 1)]
    """
    with no_results(source, StoreError), opened(source) as there:
        names = names_of(studies) or there.names()
        for name in names:
            there.study(name)  # or else `into` is not made
        if not names:
            return []
        with no_results(into, StoreError), opened(into, create=True) as here:
            return list(merging.merge(here, there, names, accept_source=accept_source))


def data(name: str) -> Path:
    """Bring a data set into the data folder, downloaded once; return its folder.

    Raises:
        UsageError: there is no such data set.
        DataError: it cannot be had, or is damaged.
    """
    data_set = find_data_set(name)
    fetch(data_set)
    return data_set.path


def audience(*, quiet: bool) -> Audience:
    """Who is told of a call: the terminal or notebook, or nobody."""
    return training_run.SILENT if quiet else TerminalAudience(Console(), live=False)


def _asked(study: Study | Path | str | Objective, changes: Changes) -> Study:
    """The study that is asked for, however it is named."""
    if isinstance(study, Path):
        study = study_of_file(study)
    elif isinstance(study, str):
        study = named_study(study)
    elif callable(study) and (name := named(study)) is not None:
        return function_study(name, changes)
    if not isinstance(study, Study):
        raise UsageError(
            f"{study!r} is no study: give a Study, a preset's name, a file's path or a function"
        )
    return changed_study(study, changes)
