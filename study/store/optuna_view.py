"""What Optuna itself reads of a study: can it load it, and does it read what is recorded here?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from landscape_study.study.errors import first_line
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.creation import optuna_study_name
from landscape_study.study.store.seals import Place
from landscape_study.study.store.stored_cells import StoredCell
from landscape_study.study.store.tables import curve_table as _curve


@dataclass(frozen=True)
class View:
    """What Optuna reads of a study.

    Attributes:
        unloadable: its Optuna studies that cannot be loaded, and why.
        differing: cells of which something else is read than is recorded here: what, as the end of
            "these cells are …", and where they lie.
    """

    unloadable: dict[str, str]
    differing: list[tuple[str, Place]]


def view(store: Store, study: Study, cells: Sequence[StoredCell]) -> View:
    """Let Optuna load the study, and compare."""
    known = {cell.row["trial_id"]: cell for cell in cells if cell.fault is None}
    unloadable: dict[str, str] = {}
    differing: list[tuple[str, Place]] = []
    storage = RDBStorage(store.database.engine.url.render_as_string(hide_password=False))
    try:
        for name in _names(study):
            try:
                trials = _load(storage, name, study.metric.goal)
            except Exception as e:  # it trusts what it reads, and fails in many ways
                unloadable[name] = f"{type(e).__name__}: {first_line(e)}"
            else:
                differing += _compare(store, study, trials, known)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return View(unloadable, differing)


def _compare(
    store: Store, study: Study, trials: Sequence[FrozenTrial], known: dict[int, StoredCell]
) -> Iterator[tuple[str, Place]]:
    own = [trial for trial in trials if trial._trial_id in known]
    curves = _curves(store, study.metric.name, [trial._trial_id for trial in own])
    numbers = Counter(trial.number for trial in trials)
    for trial in own:
        cell = known[trial._trial_id]
        panel, _, own_cell = cell.place
        if trial.params != {name: own_cell.value(name) for name in study.panel(panel).grid.names}:
            yield "with other parameters in Optuna than here", cell.place
        elif numbers[trial.number] > 1:
            yield "with the number of another trial in Optuna", cell.place
        elif not _has_same_results(trial, cell, curves):
            yield "with other results in Optuna than here", cell.place


def _names(study: Study) -> list[str]:
    return [
        optuna_study_name(study.name, panel.name, seed)
        for panel in study.panels
        for seed in study.seeds
    ]


def _load(storage: RDBStorage, name: str, goal: str) -> list[FrozenTrial]:
    """All trials of an Optuna study; none if there is no such study: that is told elsewhere."""
    try:
        study_id = storage.get_study_id_from_name(name)
    except KeyError:
        return []
    if storage.get_study_directions(study_id) != [StudyDirection[goal.upper()]]:
        raise ValueError(f"it is not to be {goal}d")
    storage.get_study_user_attrs(study_id)
    return storage.get_all_trials(study_id, deepcopy=False)


def _curves(store: Store, metric: str, trials: Sequence[int]) -> dict[int, np.ndarray]:
    query = sa.select(_curve.c.trial_id, _curve.c.data).where(
        _curve.c.metric == metric, _curve.c.trial_id.in_(trials)
    )
    rows = store.database.read(lambda c: c.execute(query).all())
    return {trial: np.frombuffer(data, "<f4") for trial, data in rows}


def _has_same_results(trial: FrozenTrial, cell: StoredCell, curves: dict[int, np.ndarray]) -> bool:
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return not trial.intermediate_values
    curve, said = curves.get(trial._trial_id, np.empty(0)), trial.user_attrs
    steps = trial.intermediate_values.items()
    lost = cell.row["diverged_epoch"]
    return (
        trial.value == cell.row["value"]
        and all(said.get(name) == cell.row[name] for name in ("train_loss", "test_loss"))
        and (said.get("diverged"), said.get("diverged_epoch")) == (lost != 0, max(lost, 0) or None)
        and (cell.row["seconds"] is None or _is_time(said.get("seconds")))
        and all(
            0 < step <= len(curve) and np.array_equal(curve[step - 1], value, equal_nan=True)
            for step, value in steps
        )
    )


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
