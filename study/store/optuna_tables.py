"""Optuna's tables, as its schema v3.2.0.a has them (Optuna 5): written directly, in bulk.

Described here rather than imported, since Optuna's own description is private. Optuna makes the
tables; `schema` compares its version with the one that is described.
"""

import enum
import math
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import TrialState

from landscape_study.study.store.columns import Number, Whole, Words

OPTUNA_SCHEMA = "v3.2.0.a"  # head of optuna 5's migrations


class ValueType(enum.Enum):
    """What kind of number a value is; what is infinite stands as NULL."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3


class StepType(enum.Enum):
    """The same for intermediate values, which may also be no number."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3
    NAN = 4


VALUE_TYPES = sa.Enum(ValueType, name="trialvaluetype")
STEP_TYPES = sa.Enum(StepType, name="trialintermediatevaluetype")

metadata = sa.MetaData()

study_table = sa.Table(
    "studies",
    metadata,
    sa.Column("study_id", Whole, primary_key=True),
    sa.Column("study_name", Words(512)),
)

direction_table = sa.Table(
    "study_directions",
    metadata,
    sa.Column("study_direction_id", Whole, primary_key=True),
    sa.Column("direction", sa.Enum(StudyDirection, name="studydirection")),
    sa.Column("study_id", Whole),
    sa.Column("objective", Whole),
)

study_attribute_table = sa.Table(
    "study_user_attributes",
    metadata,
    sa.Column("study_user_attribute_id", Whole, primary_key=True),
    sa.Column("study_id", Whole),
    sa.Column("key", Words(512)),
    sa.Column("value_json", sa.Text),
)

trial_table = sa.Table(
    "trials",
    metadata,
    sa.Column("trial_id", Whole, primary_key=True),
    sa.Column("number", Whole),
    sa.Column("study_id", Whole),
    sa.Column("state", sa.Enum(TrialState, name="trialstate")),
    sa.Column("datetime_start", sa.DateTime),
    sa.Column("datetime_complete", sa.DateTime),
)

attribute_table = sa.Table(
    "trial_user_attributes",
    metadata,
    sa.Column("trial_user_attribute_id", Whole, primary_key=True),
    sa.Column("trial_id", Whole),
    sa.Column("key", Words(512)),
    sa.Column("value_json", sa.Text),
)

sampler_table = sa.Table(  # what samplers remember
    "trial_system_attributes",
    metadata,
    sa.Column("trial_system_attribute_id", Whole, primary_key=True),
    sa.Column("trial_id", Whole),
    sa.Column("key", Words(512)),
    sa.Column("value_json", sa.Text),
)

parameter_table = sa.Table(
    "trial_params",
    metadata,
    sa.Column("param_id", Whole, primary_key=True),
    sa.Column("trial_id", Whole),
    sa.Column("param_name", Words(512)),
    sa.Column("param_value", Number(53)),
    sa.Column("distribution_json", sa.Text),
)

value_table = sa.Table(
    "trial_values",
    metadata,
    sa.Column("trial_value_id", Whole, primary_key=True),
    sa.Column("trial_id", Whole),
    sa.Column("objective", Whole),
    sa.Column("value", Number(53)),
    sa.Column("value_type", VALUE_TYPES),
)

step_table = sa.Table(
    "trial_intermediate_values",
    metadata,
    sa.Column("trial_intermediate_value_id", Whole, primary_key=True),
    sa.Column("trial_id", Whole),
    sa.Column("step", Whole),
    sa.Column("intermediate_value", Number(53)),
    sa.Column("intermediate_value_type", STEP_TYPES),
)

# The value of a trial: infinite where it diverged and has none (see `results`).
raw_measured: sa.ColumnElement[Any] = sa.type_coerce(  # whatever stands there
    sa.case(
        (value_table.c.value_type == ValueType.INF_POS, sa.literal(math.inf, sa.Float(53))),
        (value_table.c.value_type == ValueType.INF_NEG, sa.literal(-math.inf, sa.Float(53))),
        else_=sa.type_coerce(value_table.c.value, sa.Float(53)),
    ),
    sa.types.NullType(),
)
measured = sa.type_coerce(raw_measured, Number(infinite=True))


Kind = TypeVar("Kind", ValueType, StepType)


def stored_number(number: float, kinds: type[Kind]) -> tuple[float | None, Kind]:
    """A number and its kind as Optuna's columns have them."""
    if math.isfinite(number):
        return number, kinds["FINITE"]
    return None, kinds["NAN" if math.isnan(number) else "INF_POS" if number > 0 else "INF_NEG"]
