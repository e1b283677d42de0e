"""The courses of a panel's trials that have ended: what pruners compare with."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from landscape_study.study.records.standing import Course
from landscape_study.study.spec.cell_numbers import from_text
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store.columns import where_known
from landscape_study.study.store.optuna_tables import measured
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.tables import ENDED
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import curve_table as _curve
from landscape_study.study.store.tables import study_table as _study


def courses(connection: Connection, study: Study, panel: str) -> list[Course]:
    """The courses of the study's metric of all trials of a panel that have ended, oldest first."""
    query = (
        sa.select(
            *(_cell.c.alpha, _cell.c["lambda"], _cell.c.diverged_epoch, _chunk.c.seed),
            where_known(connection, _cell.c.own),
            *(_chunk.c.state, _curve.c.data, measured.label("value")),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_curve, _curve.c.trial_id == _cell.c.trial_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id)
        .where(_study.c.name == study.name, _chunk.c.panel == panel)
        .where(_chunk.c.state.in_(ENDED), _curve.c.metric == study.metric.name)
        .order_by(_cell.c.trial_id)
    )
    return [
        Course(
            cell=Cell(row["alpha"], row["lambda"], from_text(row["own"])),
            seed=row["seed"],
            costs=study.metric.sign * np.frombuffer(row["data"], "<f4").astype(float),
            cost=study.metric.sign * row["value"],
            diverged=row["diverged_epoch"] != 0,
            is_pruned=row["state"] == "pruned",
        )
        for row in connection.execute(query).mappings()
    ]
