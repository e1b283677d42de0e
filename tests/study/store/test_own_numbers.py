"""Cells with numbers of their own in a database, of either kind and of an older schema."""

from __future__ import annotations

from contextlib import closing

import pytest

from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.seals import cell_seal
from tests.conftest import make_outcome, make_study, pairs_of_two

AXES = {"alpha": 0.05, "beta2": [0.9, 0.99], "lambda": [0.0, 0.01, 0.1]}
ELSEWHERE = (  # what a server's database of schema 7 has: no column `own`
    "ALTER TABLE landscape_cell DROP COLUMN own",  # and with it what is unique
    'ALTER TABLE landscape_cell ADD UNIQUE (optuna_study_id, alpha, "lambda")',
    "ALTER TABLE landscape_witness DROP COLUMN own",
    "UPDATE landscape_schema SET version = 7",
)


def over_beta2() -> Study:
    return make_study(pairs=("adamw",), name="other").change_panels(**AXES)


def filled(store: Store, study: Study) -> None:
    store.create(study, Identity("x"), pairs_of_two)
    run_id = store.start_run(study.name, {})
    while claim := store.claim(study.name, Worker(), run_id):
        store.record(claim, make_outcome(len(claim.cells)))
    store.end_run(run_id)


def test_cells_are_told_apart_by_them(any_store: Store):
    filled(any_store, over_beta2())
    rows = any_store.cells("other")
    assert {row["own"] for row in rows} == {"beta2=0.9", "beta2=0.99"}
    assert len({(row["own"], row["lambda"]) for row in rows}) == len(rows) == 6
    assert {state.cell.own for state in any_store.states("other")} == {
        (("beta2", 0.9),),
        (("beta2", 0.99),),
    }
    assert len(any_store.means("other")) == 6
    cell = Cell(0.05, 0.01, (("beta2", 0.99),))
    found = any_store.curves("other", [("adamw", cell)])
    assert {row["own"] for row in found} == {"beta2=0.99"}
    assert list(check(any_store, ["other"])) == []
    assert any_store.create(over_beta2(), Identity("x"), pairs_of_two).new == 0


def test_cells_without_are_sealed_as_before_there_were_any():
    place = "adamw", 0, Cell(0.1, 0.001)
    assert cell_seal(place, 5.0, 0.5, 0.6, 0) == "2a47411fed49325e"
    other = "adamw", 0, Cell(0.1, 0.001, (("beta2", 0.9),))
    assert cell_seal(other, 5.0, 0.5, 0.6, 0) != cell_seal(place, 5.0, 0.5, 0.6, 0)


@pytest.mark.postgres
def test_a_servers_database_of_schema_7_gets_them(any_store: Store):
    if any_store.database.is_sqlite:
        pytest.skip("an SQLite file of schema 7 is among the databases of the tests")
    filled(any_store, make_study())
    before = any_store.cells("small")
    for statement in ELSEWHERE:
        any_store.database.write(lambda c, sql=statement: c.exec_driver_sql(sql))
    with closing(Store(any_store.url)) as upgraded:
        assert upgraded.cells("small") == before
        filled(upgraded, over_beta2())
        assert list(check(upgraded, ["small", "other"])) == []
