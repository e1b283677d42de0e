"""Creating a study in the database: its row, its Optuna studies and trials, its chunks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
INSERTED = 20_000  # cells that are inserted together

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


def add_cells(connection: Connection, study_id: int, study: Study, chunking: Chunking) -> int:
    """Add what the study lacks: Optuna studies, trials, cells, chunks; how many cells that were.

    Chunks are trained in the order in which they are added, seed by seed. Where later ones learn
    from earlier ones, panels take turns, so that the first of a panel has ended when its second
    one begins.
    """
    wanted, new = [(panel, panel.cells()) for panel in study.panels], 0
    for seed in study.seeds:
        places = [_Place.of(connection, study, panel, seed, cells) for panel, cells in wanted]
        new += _add_seed(connection, study_id, places, chunking)
    return new


def _add_seed(
    connection: Connection, study_id: int, places: Sequence[_Place], chunking: Chunking
) -> int:
    """Add what all panels lack under one seed."""
    groups = [
        [(place, cells) for part in place.rounds() for cells in chunking(part)] for place in places
    ]
    if any(place.panel.prune for place in places):
        groups = [[one for one in turn if one] for turn in zip_longest(*groups)]
    for place, cells in chain.from_iterable(groups):
        own = {"study_id": study_id, "panel": place.panel.name, "seed": place.seed}
        inserted = connection.execute(_chunk.insert().values(own))
        chunk_id = inserted.inserted_primary_key[0]  # type: ignore[index]
        place.chunks.append((chunk_id, cells))
    for place in places:
        insert_cells(connection, place.panel, place.optuna_study_id, place.chunks, place.known)
    return sum(len(place.new) for place in places)


@dataclass
class _Place:
    """Where the cells of a panel under one seed go.

    Attributes:
        known: how many are there.
        new: those that are not, in the order in which to train them.
        chunks: the ids of those that are added, with their cells.
    """

    panel: Panel
    seed: int
    optuna_study_id: int
    known: int
    new: list[Cell]
    chunks: list[tuple[int, Sequence[Cell]]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        connection: Connection,
        study: Study,
        panel: Panel,
        seed: int,
        wanted: Sequence[Cell],
    ) -> _Place:
        """Look what is there of the wanted cells."""
        optuna_study_id = optuna_study(connection, study, panel, seed)
        query = sa.select(_cell.c.alpha, _cell.c["lambda"])
        known = {
            Cell(alpha, lambda_)
            for alpha, lambda_ in connection.execute(
                query.where(_cell.c.optuna_study_id == optuna_study_id)
            )
        }
        new = [cell for cell in wanted if cell not in known]
        if panel.prune:  # who is compared with whom: in each chunk cells from all over the grid
            random.Random(0).shuffle(new)
        return cls(panel, seed, optuna_study_id, len(known), new)

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
    chunks: Sequence[tuple[int, Sequence[Cell]]],
    first_number: int,
) -> list[int]:
    """Insert the cells of new chunks as waiting Optuna trials with their parameters.

    Args:
        chunks: the id of each, and its cells.
        first_number: that the first trial has in its Optuna study.

    Returns:
        The ids of the trials.
    """
    places = [(chunk_id, cell) for chunk_id, cells in chunks for cell in cells]
    trial_ids: list[int] = []
    for first in range(0, len(places), INSERTED):
        some = places[first : first + INSERTED]
        new = _insert_trials(connection, optuna_study_id, first_number + first, len(some))
        rows = [
            {
                "trial_id": trial_id,
                "optuna_study_id": optuna_study_id,
                "chunk_id": chunk_id,
                "alpha": cell.alpha,
                "lambda": cell.lambda_,
            }
            for trial_id, (chunk_id, cell) in zip(new, some, strict=True)
        ]
        connection.execute(_cell.insert(), rows)
        _insert_parameters(connection, panel, optuna_study_id, new)
        trial_ids += new
    return trial_ids


def _insert_trials(
    connection: Connection, optuna_study_id: int, first_number: int, count: int
) -> Sequence[int]:
    """Insert waiting trials, counted by the database itself; their ids."""
    last = connection.scalar(sa.select(sa.func.max(_trial.c.trial_id))) or 0
    numbers = sa.select(sa.literal(first_number).label("number")).cte(recursive=True)
    following = sa.select(numbers.c.number + 1)
    numbers = numbers.union_all(following.where(numbers.c.number < first_number + count - 1))
    state = sa.cast(sa.literal(TrialState.WAITING, _trial.c.state.type), _trial.c.state.type)
    facts = sa.select(numbers.c.number, sa.literal(optuna_study_id), state)
    connection.execute(_trial.insert().from_select(["number", "study_id", "state"], facts))
    new = (_trial.c.study_id == optuna_study_id) & (_trial.c.trial_id > last)
    return connection.scalars(
        sa.select(_trial.c.trial_id).where(new).order_by(_trial.c.number)
    ).all()


def _insert_parameters(
    connection: Connection, panel: Panel, optuna_study_id: int, trial_ids: Sequence[int]
) -> None:
    """Insert α and λ of these trials as Optuna has them, from our own table."""
    new = (_cell.c.optuna_study_id == optuna_study_id) & (_cell.c.trial_id >= min(trial_ids))
    for name, distribution in _distributions(panel):
        facts = sa.select(
            _cell.c.trial_id,
            sa.literal(name),
            _cell.c[name],
            sa.literal(distribution_to_json(distribution)),
        )
        columns = ["trial_id", "param_name", "param_value", "distribution_json"]
        connection.execute(parameter_table.insert().from_select(columns, facts.where(new)))
