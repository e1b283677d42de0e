"""What makes a cell whole: said once, for checking a database and for taking over its results."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.spec.cell_numbers import from_text
from landscape_study.study.spec.metric import LOSSES
from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.store.columns import raw, where_known
from landscape_study.study.store.creation import optuna_study_name
from landscape_study.study.store.optuna_tables import raw_measured
from landscape_study.study.store.optuna_tables import step_table as _step
from landscape_study.study.store.optuna_tables import study_table as _optuna_study
from landscape_study.study.store.optuna_tables import trial_table as _trial
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.queries import count, is_running, is_sealed
from landscape_study.study.store.seals import Place, curve_seal, holds
from landscape_study.study.store.tables import ENDED
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import study_table as _study

OF_CELL = (
    *(_cell.c.trial_id, _cell.c.alpha, _cell.c["lambda"]),
    *(_cell.c.diverged_epoch, _cell.c.train_loss, _cell.c.test_loss),
)
OF_CHUNK = (
    *(_chunk.c.chunk_id, _chunk.c.panel, _chunk.c.seed, _chunk.c.state, _chunk.c.run_id),
    *(_chunk.c.host, _chunk.c.device, _chunk.c.attempts, _chunk.c.seconds),
)

FLOAT = struct.Struct("<f")  # one epoch of a curve
CHANGED = "changed since they were recorded"
ROUNDING = 1e-6  # relative: curves are in single precision
TINY = 1e-30


@dataclass(frozen=True)
class StoredCell:
    """A cell as it is stored.

    Attributes:
        row: its columns, those of its chunk, and what is counted of its results.
        place: where it lies in its study.
        lost: why it has no results that can be taken elsewhere, although it may be finished.
        differs: what else is wrong with it.
    """

    row: RowMapping
    place: Place
    lost: str | None
    differs: str | None

    @property
    def fault(self) -> str | None:
        """What is wrong with it, as the end of "these cells are …"; None if nothing is."""
        return self.lost or self.differs

    @property
    def is_whole(self) -> bool:
        """Whether it is finished or pruned, with all of its results."""
        return self.row["state"] in ENDED and self.lost is None

    @property
    def is_torn(self) -> bool:
        """Whether it is finished or pruned, but not whole."""
        return self.row["state"] in ENDED and self.lost is not None


def stored_cells(connection: Connection, study: Study) -> list[StoredCell]:
    """All cells of a study's chunks, by trial."""
    rows = connection.execute(_query(connection, study)).mappings().all()
    broken = _broken_curves(connection, study)
    belongs = belonging(study)
    panels = {panel.name: panel for panel in study.panels}
    taken = {place_of(row) for row in rows if _is_at_home(study, row)}
    cells = []
    for row in rows:
        place, is_at_home = place_of(row), _is_at_home(study, row)
        if not belongs(place):
            lost: str | None = "not part of the study's grids"
        elif place in taken and not is_at_home:
            lost = "there twice"
        else:
            panel = panels[row["panel"]]
            lost = _lost(row, panel, study.metric.name, row["trial_id"] in broken)
        taken.add(place)
        cells.append(StoredCell(row, place, lost, _difference(row, is_at_home)))
    return cells


def places_of(study: Study) -> Iterator[Place]:
    """Every cell that the study asks for."""
    for panel in study.panels:
        for seed in study.seeds:
            for cell in panel.cells():
                yield panel.name, seed, cell


def belonging(study: Study) -> Callable[[Place], bool]:
    """Tells whether a cell is the study's: one that its panel asks for, or may hold."""
    panels, seeds = {one.name: one for one in study.panels}, set(study.seeds)

    def belongs(place: Place) -> bool:
        panel, seed, cell = place
        return seed in seeds and panel in panels and panels[panel].holds(cell)

    return belongs


def place_of(row: RowMapping | Mapping[str, Any]) -> Place:
    """Where a cell lies in its study."""
    return row["panel"], row["seed"], Cell(row["alpha"], row["lambda"], from_text(row.get("own")))


def _query(connection: Connection, study: Study) -> sa.Select[Any]:
    """The cells of a study's chunks, with what can be counted of each one's results."""
    values, curves = _values_of(study), _curves_of(study)
    # Only what has not ended is asked for steps: it must have none.
    has_none = _chunk.c.state.not_in(ENDED)
    steps = sa.exists().where(_step.c.trial_id == _cell.c.trial_id, has_none)
    return (
        sa.select(
            *map(raw, OF_CELL),
            where_known(connection, _cell.c.own),
            where_known(connection, _cell.c.seal),
            *map(raw, OF_CHUNK),
            is_running().label("is_held"),
            sa.type_coerce(_trial.c.state, sa.String()).label("trial_state"),
            _optuna_study.c.study_name.label("optuna_name"),
            (_trial.c.study_id == _cell.c.optuna_study_id).label("is_with_trial"),
            *(column for column in (*values.c, *curves.c) if column.name != "trial_id"),
            _last(study).label("last"),
            steps.label("has_steps"),
        )
        .join_from(_cell, _chunk, _chunk.c.chunk_id == _cell.c.chunk_id)
        .join(_study, _study.c.study_id == _chunk.c.study_id)
        .join(_trial, _trial.c.trial_id == _cell.c.trial_id, isouter=True)
        .join(_optuna_study, _optuna_study.c.study_id == _cell.c.optuna_study_id, isouter=True)
        .join(values, values.c.trial_id == _cell.c.trial_id, isouter=True)
        .join(curves, curves.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_study.c.name == study.name)
        .order_by(_cell.c.trial_id)
    )


def _trials_of(study: Study) -> sa.Select[tuple[int]]:
    """The trials of the study's cells."""
    return (
        sa.select(_cell.c.trial_id)
        .join_from(_cell, _chunk, _chunk.c.chunk_id == _cell.c.chunk_id)
        .join(_study, _study.c.study_id == _chunk.c.study_id)
        .where(_study.c.name == study.name)
    )


def _values_of(study: Study) -> sa.Subquery:
    """How many errors each trial has, and one of them."""
    return (
        sa.select(
            _value.c.trial_id,
            sa.func.count().label("values"),
            sa.func.max(raw_measured).label("value"),
        )
        .where(_value.c.trial_id.in_(_trials_of(study)))
        .group_by(_value.c.trial_id)
        .subquery("of_values")
    )


def _curves_of(study: Study) -> sa.Subquery:
    """How many curves each trial has, and how many of them are needed, cut, how long."""
    known = _curve.c.metric.in_({*LOSSES, study.metric.name})
    cut = sa.func.length(_curve.c.data) != FLOAT.size * _curve.c.n
    return (
        sa.select(
            _curve.c.trial_id,
            sa.func.count().label("curves"),
            count(known).label("known_curves"),
            count(cut).label("cut_curves"),
            sa.func.min(_curve.c.n).label("shortest"),
            sa.func.max(_curve.c.n).label("longest"),
        )
        .where(_curve.c.trial_id.in_(_trials_of(study)))
        .group_by(_curve.c.trial_id)
        .subquery("of_curves")
    )


def _last(study: Study) -> sa.ScalarSelect[bytes]:
    """The epoch that counts of the curve that gives the error; databases count from byte 1.

    Of what was pruned it is the last one.
    """
    starts = {
        panel.name: FLOAT.size * (panel.schedule.solution(panel.epochs or 1) - 1) + 1
        for panel in study.panels
    }
    whole = sa.case(starts, value=_chunk.c.panel, else_=1)
    start = sa.case((_chunk.c.state == "pruned", FLOAT.size * (_curve.c.n - 1) + 1), else_=whole)
    value = sa.func.substr(_curve.c.data, start, FLOAT.size, type_=sa.LargeBinary())
    of_cell = _curve.c.trial_id == _cell.c.trial_id
    return sa.select(value).where(of_cell, _curve.c.metric == study.metric.name).scalar_subquery()


def _is_at_home(study: Study, row: RowMapping) -> bool:
    """Whether the cell is in the Optuna study of its panel and seed, and its trial too."""
    home = optuna_study_name(study.name, row["panel"], row["seed"])
    return row["optuna_name"] == home and row["is_with_trial"] is not False


def _difference(row: RowMapping, is_at_home: bool) -> str | None:
    """How Optuna's tables differ from ours."""
    if not is_at_home:
        return "not in the Optuna study of the panel and seed"
    return None if _states_agree(row) else "in another state in Optuna than here"


def _lost(row: RowMapping, panel: Panel, metric: str, is_broken: bool) -> str | None:
    """What is wrong with the results of a cell."""
    if row["trial_state"] is None:
        return "without a trial in Optuna"
    if row["state"] in ENDED:
        torn = _torn(row, panel, metric) or (CHANGED if is_broken else None)
        return None if torn is None else f"{row['state'].replace('done', 'finished')}, but {torn}"
    has_results = row["values"] or row["curves"] or row["has_steps"]
    return "not finished, but with results" if has_results else None


def _torn(row: RowMapping, panel: Panel, metric: str) -> str | None:
    """What is wrong with the results of a finished cell."""
    if (row["values"] or 0) > 1:
        return "with more than one error"
    if row["value"] is None:
        return "without an error"
    if row["diverged_epoch"] is None:
        return "without their divergence"
    if not _are_numbers(row):
        return "with something else where numbers belong"
    torn = _torn_curves(row) if panel.is_labelled else _torn_training(row, panel.epochs, metric)
    return torn or (None if is_sealed(row, row["value"]) else CHANGED)


def _torn_curves(row: RowMapping) -> str | None:
    """What is wrong with the curves, of any length, of what was trained elsewhere."""
    whole = not row["cut_curves"] and row["shortest"] == row["longest"]
    return None if whole else "with a curve that is cut"


def _torn_training(row: RowMapping, epochs: int | None, metric: str) -> str | None:
    """What is wrong with the curves of a training over so many epochs."""
    if (row["known_curves"] or 0) < len({*LOSSES, metric}):
        return "without all of their curves"
    length = row["longest"] if row["state"] == "pruned" else epochs
    if row["cut_curves"] or not row["shortest"] == row["longest"] == length:
        return "with a curve that is cut"
    (last,) = FLOAT.unpack(row["last"])
    ended = row["value"] if row["diverged_epoch"] == 0 or math.isfinite(last) else math.nan
    return None if is_same(ended, last) else "with another error than the curve"


def _are_numbers(row: RowMapping) -> bool:
    """Whether the results are numbers; a loss that diverged is none."""
    losses = [row[name] for name in ("train_loss", "test_loss") if row[name] is not None]
    numbers = [*losses, *([] if _is_lost_value(row) else [row["value"]])]
    return isinstance(row["diverged_epoch"], int) and all(
        isinstance(number, int | float) and math.isfinite(number) for number in numbers
    )


def _is_lost_value(row: RowMapping) -> bool:
    """Whether the cell diverged, and has no value for that."""
    value = row["value"]
    return row["diverged_epoch"] != 0 and isinstance(value, float) and math.isinf(value)


def is_same(one: float, other: float) -> bool:
    """Whether two values of a metric differ by less than single precision tells, if at all."""
    both_lost = math.isnan(one) and math.isnan(other)
    return both_lost or math.isclose(one, other, rel_tol=ROUNDING, abs_tol=TINY)


def _broken_curves(connection: Connection, study: Study) -> set[int]:
    """The trials of which a curve is not what was recorded."""
    query = (
        sa.select(
            *map(raw, (_chunk.c.panel, _chunk.c.seed, _cell.c.alpha, _cell.c["lambda"])),
            where_known(connection, _cell.c.own),
            *map(raw, (_curve.c.trial_id, _curve.c.metric, _curve.c.data)),
            where_known(connection, _curve.c.seal),
        )
        .join_from(_curve, _cell, _cell.c.trial_id == _curve.c.trial_id)
        .join(_chunk, _chunk.c.chunk_id == _cell.c.chunk_id)
        .join(_study, _study.c.study_id == _chunk.c.study_id)
        .where(_study.c.name == study.name)
    )
    return {
        row["trial_id"]
        for row in connection.execute(query).mappings()
        if not isinstance(row["data"], bytes)
        or not holds(row["seal"], curve_seal(place_of(row), row["metric"], row["data"]))
    }


def _states_agree(row: RowMapping) -> bool:
    """Whether a cell's state is the same here and in Optuna.

    What nobody holds waits there, or still runs if its worker died without a word.
    """
    running, waiting = TrialState.RUNNING.name, TrialState.WAITING.name
    if row["state"] == "open":
        return row["trial_state"] in ((running,) if row["is_held"] else (waiting, running))
    there = {
        "done": TrialState.COMPLETE.name,
        "failed": TrialState.FAIL.name,
        "pruned": TrialState.PRUNED.name,
    }
    return row["trial_state"] == there.get(row["state"])
