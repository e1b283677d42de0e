"""Two databases of one study become one, and no cell is there twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from landscape_study.study.errors import LeaseLostError, StoreError, StudyMismatchError, UsageError
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import Merged, merge
from tests.conftest import make_outcome, make_study
from tests.study.store.test_checking import CHUNK, ONE, spoil
from tests.study.store.test_store import (
    FOUR_CELLS,
    WITNESS,
    begin,
    create,
    optuna_study,
    train_all,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """A second database, an SQLite file."""
    opened = Store(str(tmp_path / "other.db"), create=True)
    yield opened
    opened.close()


def results(store: Store) -> list[dict[str, object]]:
    """All that readers get of the study, but for the numbers that Optuna gives."""
    cells = [
        {key: value for key, value in row.items() if key != "trial"}
        for row in store.cells("small")
    ]
    curves = [*store.curves("small"), *store.mechanism("small")]
    return cells + [row | {"values": row["values"].tolist()} for row in curves]


def merged(into: Store, source: Store, *names: str) -> Merged:
    (found,) = merge(into, source, names)
    assert [f for f in check(into, into.names()) if f.is_fault] == []
    return found


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_study_moves_whole(any_store: Store, other: Store, small_study: Study, way: str):
    """From SQLite to either kind, and from either to SQLite."""
    into, source = (any_store, other) if way == "there" else (other, any_store)
    train_all(source, small_study)
    assert merged(into, source) == Merged("small", taken=12)
    assert results(into) == results(source)
    assert into.study("small") == source.study("small")
    assert into.identity("small") == source.identity("small")
    assert into.runs("small") == source.runs("small")
    trials, same = (optuna_study(s, "small/sgd/seed0").trials for s in (into, source))
    facts = [
        [(t.state, t.value, t.params, t.user_attrs, t.intermediate_values) for t in of]
        for of in (trials, same)
    ]
    assert facts[0] == facts[1]
    assert [t.datetime_complete for t in trials] == [t.datetime_complete for t in same]


def test_merged_again_nothing_is_taken(any_store: Store, other: Store, small_study: Study):
    train_all(other, small_study)
    merged(any_store, other)
    before = results(any_store)
    assert merged(any_store, other) == Merged("small", there=12)
    assert results(any_store) == before
    assert len(any_store.runs("small")) == 1


def test_each_has_what_the_other_lacks(any_store: Store, other: Store):
    train_all(any_store, make_study(pairs=("sgd",)))
    train_all(other, make_study(pairs=("adamw",)))
    assert merged(any_store, other) == Merged("small", taken=6, there=0)
    cells = any_store.cells("small")
    assert {(row["state"], row["panel"]) for row in cells} == {
        ("finished", "sgd"),
        ("finished", "adamw"),
    }
    assert len(cells) == 12


def test_parts_of_chunks_are_taken_and_the_rest_stays_open(any_store: Store, other: Store):
    """Chunks of two here, of which one cell each is finished there."""
    create(any_store, FOUR_CELLS)
    grid = FOUR_CELLS.panels[0].grid.cells()
    few = make_study(pairs=("sgd",), lambdas=(0.0,))
    train_all(other, few)
    assert merged(any_store, other) == Merged("small", taken=2, open=2)
    states = {(r["alpha"], r["lambda"]): r["state"] for r in any_store.cells("small")}
    assert states == {(c.alpha, c.lambda_): "open" if c.lambda_ else "finished" for c in grid}
    train_all(any_store, FOUR_CELLS)
    assert {row["state"] for row in any_store.cells("small")} == {"finished"}


def test_what_is_open_there_is_trained_here_in_the_same_company(any_store: Store, other: Store):
    study = make_study(pairs=("sgd",))
    other.create(
        study, Identity("abc"), lambda cells: [[cells[0], cells[4], cells[5]], cells[1:4]]
    )
    merged(any_store, other)
    run_id = any_store.start_run("small", {})
    claims = [any_store.claim("small", Worker(), run_id) for _ in range(3)]
    assert claims[2] is None
    cells = study.panels[0].grid.cells()
    company = {frozenset(claim.cells) for claim in claims if claim is not None}
    assert company == {frozenset((cells[0], cells[4], cells[5])), frozenset(cells[1:4])}


def test_what_is_finished_in_both_stays_and_the_difference_is_told(any_store: Store, other: Store):
    train_all(any_store, FOUR_CELLS)
    run_id = begin(other, FOUR_CELLS)
    while (claim := other.claim("small", Worker(), run_id)) is not None:
        other.record(claim, make_outcome(2, start=10.0 * (claim.chunk_id - 1) + 0.5))
    before = results(any_store)
    assert merged(any_store, other) == Merged("small", there=4, differing=4, difference=0.5)
    assert results(any_store) == before


def test_failed_cells_stay_open_and_failed_ones_here_are_replaced(any_store: Store, other: Store):
    run_id = begin(any_store, FOUR_CELLS)
    failed = any_store.claim("small", Worker(), run_id)
    assert failed is not None
    any_store.fail(failed, "a reason")
    train_all(other, FOUR_CELLS)
    assert merged(any_store, other) == Merged("small", taken=4)
    back = Store(str(Path(other.name).with_name("third.db")), create=True)
    begin(any_store, make_study(pairs=("sgd",)))
    more = any_store.claim("small", Worker(), any_store.start_run("small", {}))
    assert more is not None
    any_store.fail(more, "a reason")
    assert merged(back, any_store) == Merged("small", taken=4, open=2)
    back.close()


def test_of_a_damaged_database_what_is_whole_is_saved(any_store: Store, other: Store):
    train_all(any_store, make_study())
    spoil(any_store, f"DELETE FROM trial_values WHERE trial_id = {ONE}")
    assert merged(other, any_store) == Merged("small", taken=11, torn=1, open=1)
    train_all(other, make_study())
    assert {row["state"] for row in other.cells("small")} == {"finished"}


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE trials SET state = 'RUNNING' WHERE trial_id = {ONE}",
        "UPDATE studies SET study_name = 'renamed' WHERE study_name = 'small/sgd/seed0'",
        "DELETE FROM studies WHERE study_name = 'small/sgd/seed0'",
    ],
)
def test_where_only_optuna_s_own_tables_are_wrong_all_is_saved(
    any_store: Store, other: Store, statement: str
):
    train_all(any_store, make_study())
    expected = results(any_store)
    spoil(any_store, statement)
    assert merged(other, any_store) == Merged("small", taken=12)
    assert results(other) == expected


def test_nothing_is_merged_into_what_is_not_whole(any_store: Store, other: Store):
    train_all(any_store, make_study())
    train_all(other, make_study())
    spoil(any_store, f"DELETE FROM landscape_chunk WHERE chunk_id = {CHUNK}")
    with pytest.raises(StoreError, match="study 'small' is not whole there, nothing was taken"):
        list(merge(any_store, other, []))


def test_a_copy_does_not_make_a_run_go_on_that_has_ended(any_store: Store, other: Store):
    run_id = begin(any_store, FOUR_CELLS)
    list(merge(other, any_store, []))
    train_all(other, FOUR_CELLS)
    any_store.end_run(run_id)
    before = any_store.runs("small")
    list(merge(any_store, other, []))
    assert any_store.runs("small")[: len(before)] == before


def test_a_cell_that_is_there_twice_is_taken_once(any_store: Store, other: Store):
    train_all(any_store, make_study())
    spoil(
        any_store,
        f"UPDATE landscape_cell SET optuna_study_id = 99, alpha = 0.1 WHERE trial_id = {ONE}",
    )
    assert merged(other, any_store) == Merged("small", taken=11, torn=1, open=1)


def test_who_comes_back_after_its_lease_finds_its_cells_finished(any_store: Store, other: Store):
    run_id = begin(any_store, FOUR_CELLS)
    late = any_store.claim("small", Worker(), run_id, lease=-1)
    assert late is not None
    train_all(other, FOUR_CELLS)
    assert merged(any_store, other).taken == 4
    with pytest.raises(LeaseLostError):
        any_store.record(late, make_outcome(2))
    assert results(any_store) == results(other)


def test_what_is_being_trained_is_left_alone(any_store: Store, other: Store):
    run_id = begin(any_store, FOUR_CELLS)
    held = any_store.claim("small", Worker(), run_id)
    assert held is not None
    train_all(other, FOUR_CELLS)
    with pytest.raises(StoreError, match="is being trained there: stop its workers or wait"):
        list(merge(any_store, other, []))
    any_store.record(held, make_outcome(2))
    assert merged(any_store, other).taken == 2


@pytest.mark.parametrize(
    "study", [make_study(epochs=4), make_study(batch_size=7), make_study(task="digits")]
)
def test_another_study_of_the_same_name_is_refused(any_store: Store, other: Store, study: Study):
    train_all(any_store, make_study())
    train_all(other, study)
    before = results(any_store)
    with pytest.raises(StudyMismatchError, match="study 'small'"):
        list(merge(any_store, other, []))
    assert results(any_store) == before


def test_another_source_of_the_task_is_taken_only_if_it_is_accepted(
    any_store: Store, other: Store, small_study: Study
):
    create(any_store, small_study, Identity("same data", "a source"))
    train_all(other, small_study, Identity("same data", "another"))
    with pytest.raises(StudyMismatchError, match="merge --accept-source"):
        list(merge(any_store, other, []))
    (found,) = merge(any_store, other, [], accept_source=True)
    assert found.taken == 12


def test_only_the_studies_asked_for_are_taken(any_store: Store, other: Store):
    train_all(other, make_study())
    train_all(other, make_study(name="second"))
    assert merged(any_store, other, "second").study == "second"
    assert any_store.names() == ["second"]
    with pytest.raises(UsageError, match="no study 'third'"):
        list(merge(any_store, other, ["third"]))


def test_a_database_is_not_merged_with_itself(any_store: Store):
    with (
        closing(Store(any_store.url)) as again,
        pytest.raises(UsageError, match="the same database twice"),
    ):
        list(merge(any_store, again, []))


def test_nor_under_another_name(other: Store, tmp_path: Path):
    train_all(other, make_study())
    (tmp_path / "link.db").symlink_to(tmp_path / "other.db")
    with (
        closing(Store(str(tmp_path / "link.db"))) as again,
        pytest.raises(UsageError, match="the same database twice"),
    ):
        list(merge(other, again, []))


def test_many_cells_are_taken_in_several_transactions(
    any_store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("landscape_study.study.store.merging.AT_ONCE", 3)
    train_all(other, make_study(seeds=2))
    assert merged(any_store, other) == Merged("small", taken=24)
    assert results(any_store) == results(other)


@pytest.mark.parametrize("way", ["there", "back"])
def test_witnesses_are_taken_with_their_age_and_once(any_store: Store, other: Store, way: str):
    into, source = (any_store, other) if way == "there" else (other, any_store)
    train_all(source, make_study())
    other_panel = replace(WITNESS, panel="adamw", recorded=math.nan)
    for one in (replace(WITNESS, found=3.0), other_panel, WITNESS):
        source.record_witness("small", one)
    merged(into, source)
    assert into.witnesses("small") == source.witnesses("small")
    newer = replace(WITNESS, found=7.0)
    into.record_witness("small", newer)
    merged(into, source)
    assert into.witnesses("small")[0] == newer
    query = "SELECT count(*) FROM landscape_witness"
    assert into.database.read(lambda c: c.exec_driver_sql(query).scalar()) == 4


def test_a_witness_of_other_results_is_left_where_it_is(any_store: Store, other: Store):
    train_all(any_store, FOUR_CELLS)
    run_id = begin(other, FOUR_CELLS)
    while (claim := other.claim("small", Worker(), run_id)) is not None:
        other.record(claim, make_outcome(2, start=50.0))
    other.record_witness("small", replace(WITNESS, lambda_=0.01))
    merged(any_store, other)
    assert any_store.witnesses("small") == []


@pytest.mark.parametrize("agrees", [True, False])
def test_a_witness_that_disagrees_comes_along_with_any_cell_of_its_panel(
    any_store: Store, other: Store, agrees: bool
):
    """The cell itself is here with another error: the engine there was another."""
    train_all(any_store, FOUR_CELLS)
    study = FOUR_CELLS.change(seeds=(0, 1))
    run_id = begin(other, study)
    while (claim := other.claim("small", Worker(), run_id)) is not None:
        other.record(claim, make_outcome(2, start=50.0))
    other.record_witness("small", replace(WITNESS, lambda_=0.01, agrees=agrees))
    (found,) = merge(any_store, other, ())
    assert found.taken == 4
    assert [one.agrees for one in any_store.witnesses("small")] == [False] * (not agrees)


def test_of_an_older_database_that_cannot_be_written_all_is_taken(
    any_store: Store, before: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("landscape_study.study.store.database._is_writable", lambda folder: False)
    with closing(Store(str(before))) as source:
        assert merged(any_store, source) == Merged("small", taken=2, open=1)
