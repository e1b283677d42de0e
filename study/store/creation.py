"""Creating a study in the database: its row, its Optuna studies and trials, its chunks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import sqlalchemy as sa
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.store.optuna_tables import (
    direction_table,
    parameter_table,
    study_attribute_table,
    study_table,
)
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import study_table as _study

AT_ONCE = 500  # numbers in one statement

Chunking = Callable[[Sequence[Cell]], Sequence[Sequence[Cell]]]


def optuna_study_name(study: str, panel: str, seed: int) -> str:
    """The Optuna study that holds the trials of a panel and seed."""
    return f"{study}/{panel}/seed{seed}"


def lock(connection: Connection, name: str) -> None:
    """Wait for whoever lets the study of this name grow, and keep others from it.

    The first statement of a transaction: what follows sees what others did before, and is decided
    under this lock. It writes, so that SQLite's lock is taken too.
    """
    named = _study.c.name == name
    connection.execute(_study.update().where(named).values(name=name))


def add_cells(
    connection: Connection, study_id: int, study: Study, seed: int, chunking: Chunking
) -> int:
    """Add what the study lacks under one seed: Optuna studies, trials, cells, chunks.

    Chunks are trained in the order in which they are added. Where later ones learn from earlier
    ones, panels take turns, so that the first of a panel has ended when its second one begins.
    """
    places = [_Place.of(connection, study, panel, seed) for panel in study.panels]
    groups = [
        [(place, cells) for part in place.rounds() for cells in chunking(part)] for place in places
    ]
    if any(panel.prune for panel in study.panels):
        groups = [[one for one in turn if one] for turn in zip_longest(*groups)]
    for place, cells in chain.from_iterable(groups):
        own = {"study_id": study_id, "panel": place.panel.name, "seed": seed}
        inserted = connection.execute(_chunk.insert().values(own))
        chunk_id = inserted.inserted_primary_key[0]  # type: ignore[index]
        where = place.panel, place.optuna_study_id, chunk_id
        insert_cells(connection, *where, cells, place.number)
        place.number += len(cells)
    return sum(len(place.new) for place in places)


@dataclass
class _Place:
    """Where the cells of a panel under one seed go.

    Attributes:
        number: how many are there.
        new: those that are not, in the order in which to train them.
    """

    panel: Panel
    optuna_study_id: int
    number: int
    new: list[Cell]

    @classmethod
    def of(cls, connection: Connection, study: Study, panel: Panel, seed: int) -> _Place:
        """Look what is there."""
        optuna_study_id = optuna_study(connection, study, panel, seed)
        query = sa.select(_cell.c.alpha, _cell.c["lambda"])
        known = {
            Cell(alpha, lambda_)
            for alpha, lambda_ in connection.execute(
                query.where(_cell.c.optuna_study_id == optuna_study_id)
            )
        }
        new = [cell for cell in panel.cells() if cell not in known]
        if panel.prune:  # who is compared with whom: in each chunk cells from all over the grid
            random.Random(0).shuffle(new)
        return cls(panel, optuna_study_id, len(known), new)

    def rounds(self) -> list[list[Cell]]:
        """What is new, in parts of which no two are to be trained together."""
        size, prune = len(self.new), self.panel.prune
        if prune and not self.panel.asked:
            size = min(prune.at_once(len(self.panel.cells())), size)
        return [self.new[i : i + size] for i in range(0, len(self.new), size or 1)]


def remove_lost(connection: Connection) -> None:
    """Remove the cells whose trials somebody deleted in Optuna, so that they can be added again.

    Optuna's dashboard deletes whole studies; the numbers of their trials are given away again.
    """
    has_trial = (_trial.c.trial_id == _cell.c.trial_id) & (
        _trial.c.study_id == _cell.c.optuna_study_id
    )
    lost = sa.select(_cell.c.trial_id).where(~sa.exists().where(has_trial))
    trials = connection.scalars(lost).all()
    for table in (_curve, _cell):
        for first in range(0, len(trials), AT_ONCE):
            some = trials[first : first + AT_ONCE]
            connection.execute(table.delete().where(table.c.trial_id.in_(some)))
    if trials:
        empty = ~sa.exists().where(_cell.c.chunk_id == _chunk.c.chunk_id)
        connection.execute(_chunk.delete().where(empty))


def optuna_study(connection: Connection, study: Study, panel: Panel, seed: int) -> int:
    """Id of the Optuna study of a panel and seed, created if there is none."""
    table = study_table
    name = optuna_study_name(study.name, panel.name, seed)
    found = connection.scalar(sa.select(table.c.study_id).where(table.c.study_name == name))
    if found is not None:
        return found
    inserted = connection.execute(table.insert().values(study_name=name))
    study_id = inserted.inserted_primary_key[0]  # type: ignore[index]
    connection.execute(
        direction_table.insert().values(
            study_id=study_id, direction=StudyDirection[study.metric.goal.upper()], objective=0
        )
    )
    facts = {"task": study.task, "panel": panel.name, "seed": seed, **panel.settings()}
    connection.execute(
        study_attribute_table.insert(),
        [
            {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
            for key, value in facts.items()
        ],
    )
    return study_id


def _distributions(panel: Panel) -> Iterator[tuple[str, FloatDistribution]]:
    """Of α and λ, as Optuna's samplers and plots take them."""
    alpha, lambda_ = panel.grid.alpha.values, panel.grid.lambda_.values
    yield "alpha", FloatDistribution(alpha[0], alpha[-1], log=True)
    # A logarithmic distribution cannot hold 0, by which a grid may yet grow.
    yield (
        "lambda",
        FloatDistribution(
            lambda_[0], lambda_[-1], log=panel.sampled is not None and lambda_[0] > 0
        ),
    )


def insert_cells(
    connection: Connection,
    panel: Panel,
    optuna_study_id: int,
    chunk_id: int,
    cells: Sequence[Cell],
    first_number: int,
) -> Sequence[int]:
    """Insert the cells of one new chunk as waiting Optuna trials with their parameters.

    Returns:
        The ids of the trials.
    """
    inserted = connection.execute(
        _trial.insert().returning(_trial.c.trial_id, sort_by_parameter_order=True),
        [
            {"number": first_number + i, "study_id": optuna_study_id, "state": TrialState.WAITING}
            for i in range(len(cells))
        ],
    )
    trial_ids = inserted.scalars().all()
    distributions = {name: distribution_to_json(one) for name, one in _distributions(panel)}
    values = [{"alpha": cell.alpha, "lambda": cell.lambda_} for cell in cells]
    connection.execute(
        parameter_table.insert(),
        [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": params[name],
                "distribution_json": distribution,
            }
            for trial_id, params in zip(trial_ids, values, strict=True)
            for name, distribution in distributions.items()
        ],
    )
    connection.execute(
        _cell.insert(),
        [
            {
                "trial_id": trial_id,
                "optuna_study_id": optuna_study_id,
                "chunk_id": chunk_id,
                **params,
            }
            for trial_id, params in zip(trial_ids, values, strict=True)
        ],
    )
    return trial_ids
