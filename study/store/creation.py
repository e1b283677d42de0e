"""Creating a study in the database: its row, its Optuna studies and trials, its chunks."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from landscape_study.study.spec.cell_numbers import USUAL, Own, as_text, from_text, number_of
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


def alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in groups that differ in α and λ only: these may be trained together."""
    groups: defaultdict[Own, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.own].append(cell)
    return [*groups.values()]


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
        query = sa.select(_cell.c.alpha, _cell.c["lambda"], _cell.c.own)
        known = {
            Cell(alpha, lambda_, from_text(own))
            for alpha, lambda_, own in connection.execute(
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
            size = min(self.panel.at_once(seeds=1), size)
        groups = alike(self.new)
        return [group[i : i + size] for group in groups for i in range(0, len(group), size)]


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


def _distribution(panel: Panel, name: str) -> BaseDistribution:
    """Of an axis, as Optuna's samplers and plots take it."""
    values = panel.grid.axis(name).values
    number = number_of(name, values)
    if number.whole:
        return IntDistribution(int(values[0]), int(values[-1]), log=True)
    # A logarithmic distribution cannot hold 0, by which a grid may yet grow.
    may_be_zero = number.zero and (panel.sampled is None or values[0] == 0)
    is_log = number.scale == "log" and not may_be_zero
    return FloatDistribution(values[0], values[-1], log=is_log)


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
                "own": as_text(cell.own),
            }
            for trial_id, (chunk_id, cell) in zip(new, some, strict=True)
        ]
        connection.execute(_cell.insert(), rows)
        _insert_parameters(connection, panel, optuna_study_id, new)
        _insert_own_numbers(connection, panel, dict(zip(new, (c for _, c in some), strict=True)))
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
    """Insert α and λ of these trials, if axes, as Optuna has them, from our own table."""
    new = (_cell.c.optuna_study_id == optuna_study_id) & (_cell.c.trial_id >= min(trial_ids))
    for name in USUAL:
        if name not in panel.grid.names:
            continue
        facts = sa.select(
            _cell.c.trial_id,
            sa.literal(name),
            _cell.c[name],
            sa.literal(distribution_to_json(_distribution(panel, name))),
        )
        columns = ["trial_id", "param_name", "param_value", "distribution_json"]
        connection.execute(parameter_table.insert().from_select(columns, facts.where(new)))


def _insert_own_numbers(connection: Connection, panel: Panel, cells: Mapping[int, Cell]) -> None:
    """Insert the other numbers of cells, by their trials, as Optuna has them."""
    told = {name: distribution_to_json(_distribution(panel, name)) for name, _ in panel.grid.more}
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": value,
            "distribution_json": told[name],
        }
        for trial_id, cell in cells.items()
        for name, value in cell.own
    ]
    if rows:
        connection.execute(parameter_table.insert(), rows)
