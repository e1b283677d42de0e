"""Trials of studies that Optuna itself ran, from its database: read with suspicion."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import DBAPIError

from landscape_study.study.errors import StoreError, UsageError, first_line
from landscape_study.study.printable import printable, without_secrets
from landscape_study.study.store.database import Database

TABLES = (
    *("studies", "study_directions", "trials", "trial_params", "trial_values"),
    *("trial_user_attributes", "trial_intermediate_values", "study_system_attributes"),
)
METRIC_NAMES = "study:metric_names"  # a system attribute: what `set_metric_names` said
OWN = "landscape_study"  # a table of this tool
MOST_ROWS = 20_000_000  # of a table
SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


@dataclass
class ForeignTrial:
    """A trial: what Optuna's `trials_dataframe` shows of it."""

    number: int
    state: str
    values: dict[int, Any] = field(default_factory=dict)  # by objective
    settings: dict[str, Any] = field(default_factory=dict)  # by the names of its parameters
    attributes: dict[str, Any] = field(default_factory=dict)  # that its user set
    steps: dict[int, Any] = field(default_factory=dict)  # intermediate values


@dataclass(frozen=True)
class ForeignStudy:
    """A study that Optuna ran."""

    name: str
    goals: tuple[str, ...]  # "minimize" or "maximize", by objective
    metrics: tuple[str, ...]  # names by objective; () where it does not say
    trials: tuple[ForeignTrial, ...]


def foreign_studies(store: str) -> tuple[str, list[ForeignStudy]]:
    """The name of a database, for messages, and the studies of Optuna in it.

    Nothing is written, and nothing in it is run: a view or a trigger in the place of one of
    Optuna's tables is refused.

    Args:
        store: URL, or path of an SQLite file.

    Raises:
        StoreError: it cannot be read, or something else stands in the place of a table.
        UsageError: it is no database of Optuna's, or this tool's own.
    """
    with closing(Database(store, create=False)) as database:
        engine = database.engine.execution_options(begin="BEGIN")
        try:  # once: what is damaged stays so
            with engine.begin() as connection:
                return database.name, list(_studies(connection, database))
        except (DBAPIError, LookupError, TypeError, ValueError, OverflowError) as e:
            raise _unreadable(database, e) from e
        except RecursionError as e:
            raise _unreadable(database, ValueError("nested too deeply")) from e


def _unreadable(database: Database, e: Exception) -> StoreError:
    cause = printable(without_secrets(first_line(getattr(e, "orig", None) or e)))[:120]
    return StoreError(
        f"{database.name}: cannot be read as Optuna's ({cause}): export its trials from Optuna, "
        "as trials_dataframe().to_csv(…)"
    )


def _studies(connection: Connection, database: Database) -> Iterator[ForeignStudy]:
    _require_optuna(connection, database)
    goals: dict[int, dict[int, str]] = {}
    for study, objective, direction in _rows(connection, database, "study_directions"):
        goals.setdefault(study, {})[objective] = str(direction).lower()
    metrics = {
        study: tuple(printable(str(one)) for one in json.loads(text))
        for study, key, text in _rows(connection, database, "study_system_attributes")
        if key == METRIC_NAMES
    }
    trials: dict[int, dict[int, ForeignTrial]] = {}
    known: dict[int, ForeignTrial] = {}
    for study, number, state, trial in _rows(connection, database, "trials"):
        known[trial] = ForeignTrial(int(number), str(state))
        trials.setdefault(study, {})[trial] = known[trial]
    _fill(connection, database, known)
    for name, study in _rows(connection, database, "studies"):
        own = sorted(trials.get(study, {}).values(), key=lambda one: one.number)
        said = tuple(goal for _, goal in sorted(goals.get(study, {}).items()))
        yield ForeignStudy(printable(str(name)), said, metrics.get(study, ()), tuple(own))


def _fill(connection: Connection, database: Database, known: dict[int, ForeignTrial]) -> None:
    """Give the trials what belongs to them."""
    for trial, name, value, text in _rows(connection, database, "trial_params"):
        if trial in known:
            known[trial].settings[printable(str(name))] = _param(value, text)
    for trial, key, text in _rows(connection, database, "trial_user_attributes"):
        if trial in known:
            known[trial].attributes[printable(str(key))] = json.loads(text)
    for trial, objective, value, kind in _rows(connection, database, "trial_values"):
        if trial in known:
            known[trial].values[objective] = _value(value, kind)
    for trial, step, value, kind in _rows(connection, database, "trial_intermediate_values"):
        if trial in known:
            known[trial].steps[int(step)] = _value(value, kind)


COLUMNS = {
    "studies": ("study_name", "study_id"),
    "study_directions": ("study_id", "objective", "direction"),
    "study_system_attributes": ("study_id", "key", "value_json"),
    "trials": ("study_id", "number", "state", "trial_id"),
    "trial_params": ("trial_id", "param_name", "param_value", "distribution_json"),
    "trial_user_attributes": ("trial_id", "key", "value_json"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_intermediate_values": (
        *("trial_id", "step", "intermediate_value", "intermediate_value_type"),
    ),
}


def _rows(connection: Connection, database: Database, table: str) -> Sequence[Row]:
    """The columns of a table as they are; a column that a former version lacks is NULL."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table)}
    source = sa.table(table, *(sa.column(name) for name in there))
    wanted = [source.c[name] if name in there else sa.null() for name in COLUMNS[table]]
    found = connection.execute(sa.select(*wanted).limit(MOST_ROWS + 1)).all()
    if len(found) > MOST_ROWS:
        raise StoreError(f"{database.name}: more than {MOST_ROWS} rows in {table}: export fewer")
    return found


def _require_optuna(connection: Connection, database: Database) -> None:
    """Refuse what is no database of Optuna's, and what is not only one.

    Raises:
        StoreError: something else than a table stands in the place of one.
        UsageError: its tables are not there, or those of this tool are.
    """
    there = set(sa.inspect(connection).get_table_names())
    if OWN in there:
        raise UsageError(
            f"{database.name}: a database of this tool: name a study in it, with --store "
            f"{database.name}"
        )
    if database.is_sqlite:
        rows = connection.exec_driver_sql("SELECT type, tbl_name, name, sql FROM sqlite_master")
        for kind, table, name, sql in rows:
            text = str(sql)
            computed = re.search(r"(?i)\bAS\s*\(", text) is not None
            is_plain = kind == "index" or (text.startswith("CREATE TABLE") and not computed)
            if table in TABLES and not is_plain:
                raise StoreError(
                    f"{database.name}: its {kind} '{printable(str(name))}' is not Optuna's: "
                    "nothing was read; export its trials from Optuna"
                )
    missing = [table for table in TABLES if table not in there]
    if missing:
        known = {"runs", "experiments"} <= there  # of MLflow
        remedy = "write the table with its results into a .csv file, and name that"
        if known:
            remedy = "export its runs, as mlflow.search_runs().to_csv(…)"
        elif len(missing) < len(TABLES):
            remedy = "export its trials from Optuna, as trials_dataframe().to_csv(…)"
        raise UsageError(
            f"{database.name}: no database of Optuna's (no table {missing[0]}): {remedy}"
        )


def _param(value: Any, text: Any) -> Any:
    """A setting: of a choice, what was chosen."""
    distribution = json.loads(text)
    attributes = distribution.get("attributes") if isinstance(distribution, dict) else None
    if not isinstance(attributes, dict):
        raise ValueError(f"distribution {str(text)[:40]}")
    choices = attributes.get("choices")
    if choices is None:
        return value
    place = int(value)
    if not 0 <= place < len(choices):
        raise ValueError(f"choice {place} of {len(choices)}")
    return choices[place]


def _value(value: Any, kind: Any) -> Any:
    if str(kind) in SPECIAL:
        return SPECIAL[str(kind)]
    return value
