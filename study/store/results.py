"""Writing results: values and curves where Optuna looks for them, whole curves; and witnesses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from landscape_study.study.printable import printable
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.cell_numbers import as_text
from landscape_study.study.spec.metric import Metric
from landscape_study.study.store.database import now
from landscape_study.study.store.optuna_tables import (
    StepType,
    ValueType,
    attribute_table,
    step_table,
    stored_number,
)
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.seals import Place, cell_seal, curve_seal, witness_seal
from landscape_study.study.store.tables import MECHANISM_CURVES
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import study_table as _study
from landscape_study.study.store.tables import witness_table as _witness

UNKNOWN_EPOCH = -1  # of a divergence elsewhere
OPTUNA_CURVE_POINTS = 20  # intermediate values kept per trial, for optuna-dashboard
WHY = 500  # characters kept of what a witness differs in


Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Result:
    """What became of one cell.

    Attributes:
        place: panel, seed, cell.
        metric: the one that is its value.
        value: of that metric, in its unit; infinite, on the worse side, where the cell diverged
            and the metric has no chance level.
        train_loss: at the epoch that counts; None where it diverged. `test_loss` likewise.
        diverged_epoch: from 1; 0 where it did not; UNKNOWN_EPOCH where nobody knows when.
        seconds: of its chunk's wall time, its share by epochs; None where it was not trained here.
        curves: float32 [E] per metric, and of what happened inside as it is stored.
    """

    place: Place
    metric: str
    value: float
    train_loss: float | None
    test_loss: float | None
    diverged_epoch: int
    seconds: float | None
    curves: dict[str, np.ndarray]

    @property
    def seal(self) -> str:
        """See `seals`."""
        facts = self.value, self.train_loss, self.test_loss, self.diverged_epoch
        return cell_seal(self.place, *facts)


def results_of(places: Sequence[Place], outcome: Outcome) -> list[Result]:
    """What became of each of the K cells of a chunk."""
    lost = outcome.lost_epoch()
    metric = outcome.metric
    stored = outcome.curves | {
        name: outcome.mechanism[quantity]
        for name, quantity in MECHANISM_CURVES.items()
        if quantity in outcome.mechanism
    }
    finals = {metric: outcome.final(metric).astype(float) for metric in outcome.curves}
    epochs = outcome.epochs()
    shares = epochs / max(epochs.sum(), 1)
    return [
        Result(
            place=place,
            metric=metric.name,
            value=_ended(finals[metric.name][k], metric),
            train_loss=_finite_or_none(finals["train_loss"][k]),
            test_loss=_finite_or_none(finals["test_loss"][k]),
            diverged_epoch=int(lost[k]),
            seconds=outcome.seconds * float(shares[k]),
            curves={metric: curve[k][: epochs[k]] for metric, curve in stored.items()},
        )
        for k, place in enumerate(places)
    ]


def _ended(final: float, metric: Metric) -> float:
    """The value of a cell; what has none, since it diverged, is infinitely bad."""
    return metric.sign * math.inf if math.isnan(final) else float(final)


def write_results(
    connection: Connection, trial_ids: Sequence[int], results: Sequence[Result]
) -> None:
    """Write values, attributes, thinned and full curves of cells, given by their trials."""
    for table, rows_of in (
        (_value, _value_rows),
        (attribute_table, _attribute_rows),
        (step_table, _step_rows),
        (_curve, _curve_rows),
    ):
        rows = [
            {"trial_id": trial_id, **row}
            for trial_id, result in zip(trial_ids, results, strict=True)
            for row in rows_of(result)
        ]
        if rows:
            connection.execute(table.insert(), rows)
    change = _cell.update().where(_cell.c.trial_id == sa.bindparam("trial"))
    own = ("train_loss", "test_loss", "diverged_epoch", "seal")
    connection.execute(
        change,
        [
            {"trial": trial_id, **{name: getattr(result, name) for name in own}}
            for trial_id, result in zip(trial_ids, results, strict=True)
        ],
    )


def _value_rows(result: Result) -> Rows:
    value, kind = stored_number(result.value, ValueType)
    yield {"objective": 0, "value": value, "value_type": kind}


def attributes_of(result: Result) -> dict[str, object]:
    """What a trial in Optuna says of it beside its value."""
    return {
        "train_loss": result.train_loss,
        "test_loss": result.test_loss,
        "diverged": result.diverged_epoch != 0,
        "diverged_epoch": result.diverged_epoch if result.diverged_epoch > 0 else None,
        "seconds": None if result.seconds is None else round(result.seconds, 4),
    }


def _attribute_rows(result: Result) -> Rows:
    for key, value in attributes_of(result).items():
        yield {"key": key, "value_json": json.dumps(value)}


def steps_of(curve: np.ndarray) -> dict[int, float]:
    """Some epochs of a curve [E], for optuna-dashboard: at most 20, the last one always."""
    epochs = len(curve)
    every = max(1, -(-epochs // OPTUNA_CURVE_POINTS))
    return {e + 1: float(curve[e]) for e in range(epochs) if (epochs - 1 - e) % every == 0}


def _step_rows(result: Result) -> Rows:
    curve = result.curves.get(result.metric, np.empty(0))
    for step, number in steps_of(curve).items():
        value, kind = stored_number(number, StepType)
        yield {"step": step, "intermediate_value": value, "intermediate_value_type": kind}


def _curve_rows(result: Result) -> Rows:
    for metric, curve in result.curves.items():
        data = np.ascontiguousarray(curve, "<f4").tobytes()
        seal = curve_seal(result.place, metric, data)
        yield {"metric": metric, "n": len(curve), "data": data, "seal": seal}


def write_witness(connection: Connection, name: str, witness: Witness) -> None:
    """Write a witness of the study of this name."""
    study_id = sa.select(_study.c.study_id).where(_study.c.name == name)
    facts = {
        "panel": witness.panel,
        "seed": witness.seed,
        "alpha": witness.alpha,
        "lambda": witness.lambda_,
        "epochs": witness.epochs,
        "recorded": _finite_or_none(witness.recorded),
        "found": _finite_or_none(witness.found),
        "rounding": _finite_or_none(witness.rounding),
        "agrees": witness.agrees,
        "why": _stored_text(witness.why),
    }
    of_study = {"study_id": study_id.scalar_subquery(), "written": now()}
    own = {"own": as_text(witness.own)} if witness.own else {}
    sealed = facts | own | {"seal": witness_seal([*(facts | own).values()])}
    connection.execute(_witness.insert().values(of_study | sealed))


def _stored_text(text: str) -> str:
    """A line of bounded length, without the one character that PostgreSQL does not store."""
    text = printable(" ".join(text.replace("\x00", "\N{REPLACEMENT CHARACTER}").split()))
    return text if len(text) <= WHY else text[: WHY - 1] + "…"


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
