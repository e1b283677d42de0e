"""Writing results: values and curves where Optuna looks for them, whole curves; and witnesses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.engine import Connection

from study.outcome import Outcome
from study.store.database import now
from study.store.tables import cell_table as _cell
from study.store.tables import curve_table as _curve
from study.store.tables import study_table as _study
from study.store.tables import witness_table as _witness
from study.witness_record import Witness

OPTUNA_CURVE_POINTS = 20  # intermediate values kept per trial, for optuna-dashboard
WHY = 500  # characters kept of what a witness differs in

_value = models.TrialValueModel.__table__


def write_outcome(connection: Connection, trial_ids: Sequence[int], outcome: Outcome) -> None:
    """Write values, attributes, thinned and full curves of the K cells of a chunk."""
    cells, epochs = outcome.curves[outcome.error].shape
    finals = {metric: outcome.final(metric).astype(float) for metric in outcome.curves}
    every = max(1, -(-epochs // OPTUNA_CURVE_POINTS))
    shown = [e for e in range(epochs) if (epochs - 1 - e) % every == 0]  # the last one always
    lost_epoch = outcome.lost_epoch()
    values, attributes, steps, curves = [], [], [], []
    for k, trial_id in enumerate(trial_ids):
        diverged_epoch = int(lost_epoch[k])
        losses = {
            metric: _finite_or_none(finals[metric][k]) for metric in ("train_loss", "test_loss")
        }
        connection.execute(
            _cell.update().where(_cell.c.trial_id == trial_id),
            losses | {"diverged_epoch": diverged_epoch},
        )
        values.append(
            {
                "trial_id": trial_id,
                "objective": 0,
                "value": finals[outcome.error][k],
                "value_type": models.TrialValueModel.TrialValueType.FINITE,
            }
        )
        facts = {
            **losses,
            "diverged": diverged_epoch > 0,
            "diverged_epoch": diverged_epoch or None,
            "seconds": round(outcome.seconds / cells, 4),
        }
        attributes += [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in facts.items()
        ]
        steps += [
            {
                "trial_id": trial_id,
                "step": e + 1,
                "intermediate_value": float(outcome.curves[outcome.error][k, e]),
                "intermediate_value_type": (
                    models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
                ),
            }
            for e in shown
        ]
        curves += [
            {
                "trial_id": trial_id,
                "metric": metric,
                "n": epochs,
                "data": np.ascontiguousarray(curve[k], "<f4").tobytes(),
            }
            for metric, curve in outcome.curves.items()
        ]
    connection.execute(_value.insert(), values)
    connection.execute(models.TrialUserAttributeModel.__table__.insert(), attributes)
    connection.execute(models.TrialIntermediateValueModel.__table__.insert(), steps)
    connection.execute(_curve.insert(), curves)


def write_witness(connection: Connection, name: str, witness: Witness) -> None:
    """Write a witness of the study of this name."""
    study_id = sa.select(_study.c.study_id).where(_study.c.name == name)
    connection.execute(
        _witness.insert().values(
            {
                "study_id": study_id.scalar_subquery(),
                "written": now(),
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
        )
    )


def _stored_text(text: str) -> str:
    """A line of bounded length, without the one character that PostgreSQL does not store."""
    text = " ".join(text.replace("\x00", "\N{REPLACEMENT CHARACTER}").split())
    return text if len(text) <= WHY else text[: WHY - 1] + "…"


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
