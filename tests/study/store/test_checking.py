"""Every fault that a database may have is found, and nothing else."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.study.errors import SpecError, StoreError
from landscape_study.study.records.provenance import Worker
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import Finding, check
from landscape_study.study.store.merging import merge
from tests.conftest import make_outcome, make_study
from tests.study.store.test_store import WITNESS, begin, create, train_all

pytestmark = pytest.mark.slow

ONE = "(SELECT min(trial_id) FROM landscape_cell)"
LAST_DONE = "(SELECT max(trial_id) FROM landscape_cell WHERE diverged_epoch IS NOT NULL)"
LAST = "(SELECT max(trial_id) FROM landscape_cell)"
CHUNK = f"(SELECT chunk_id FROM landscape_cell WHERE trial_id = {ONE})"


def faults(store: Store) -> list[str]:
    return [finding.what for finding in check(store, store.names()) if finding.is_fault]


def spoil(store: Store, statement: str) -> None:
    """Change the database behind its back, whatever it refers to."""

    def work(connection) -> None:
        if store.database.is_sqlite:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(statement)

    store.database.write(work)


@pytest.fixture
def half_done(any_store: Store, small_study: Study) -> Store:
    """The first panel is finished, the second open."""
    train_all(any_store, make_study(pairs=("sgd",)))
    create(any_store, small_study)
    return any_store


def test_a_witness_that_disagrees_is_a_fault(half_done: Store):
    half_done.record_witness("small", WITNESS)
    assert list(check(half_done, ["small"])) == []
    differs = replace(
        WITNESS, agrees=False, why="train loss after epoch 2: 0.5 recorded, 0.7 found"
    )
    half_done.record_witness("small", differs)
    assert list(check(half_done, ["small"])) == [
        Finding(
            "study small, panel 'sgd', seed 0: the witness disagrees (α = 0.05, λ = 0.001): "
            "train loss after epoch 2: 0.5 recorded, 0.7 found",
            "the results of this panel are not what a plain loop gives: train it with --engine "
            "referee under another --name",
        )
    ]
    half_done.record_witness("small", WITNESS)  # another one does not outdo it
    assert len(list(check(half_done, ["small"]))) == 1


def test_of_a_whole_database_there_is_nothing_to_say(half_done: Store):
    assert list(check(half_done, ["small"])) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            f"DELETE FROM trial_values WHERE trial_id = {ONE}",
            "panel 'sgd', seed 0: 1 cell is finished, but without an error (α = 0.05, λ = 0)",
        ),
        (
            f"DELETE FROM landscape_curve WHERE trial_id = {ONE} AND metric = 'train_loss'",
            "1 cell is finished, but without all of their curves",
        ),
        (
            f"UPDATE landscape_curve SET n = 2 WHERE trial_id = {ONE}",
            "1 cell is finished, but with a curve that is cut",
        ),
        (
            "UPDATE landscape_curve SET n = 2, data = (SELECT data FROM landscape_curve WHERE "
            f"trial_id = {ONE} AND metric = 'train_loss') WHERE trial_id = {ONE}",
            "1 cell is finished, but with a curve that is cut",
        ),
        (
            f"UPDATE trial_values SET value = value + 1 WHERE trial_id = {ONE}",
            "1 cell is finished, but with another error than the curve",
        ),
        (
            "UPDATE studies SET study_name = 'renamed' WHERE study_name = 'small/sgd/seed0'",
            "6 cells are not in the Optuna study of the panel and seed",
        ),
        (
            "UPDATE landscape_cell SET diverged_epoch = NULL WHERE diverged_epoch = 0",
            "6 cells are finished, but without their divergence (α = 0.1, λ = 0.01, …)",
        ),
        (
            f"UPDATE landscape_chunk SET state = 'open' WHERE chunk_id = {CHUNK}",
            "2 cells are not finished, but with results",
        ),
        (
            f"UPDATE trials SET state = 'WAITING' WHERE trial_id = {ONE}",
            "1 cell is in another state in Optuna than here",
        ),
        (
            f"UPDATE trials SET state = 'COMPLETE' WHERE trial_id = {LAST}",
            "panel 'adamw', seed 0: 1 cell is in another state in Optuna than here",
        ),
        *(
            (
                f"UPDATE landscape_cell SET {column} = {column} + 0.5 WHERE trial_id = {ONE}",
                "1 cell is finished, but changed since they were recorded",
            )
            for column in ("train_loss", "test_loss")
        ),
        (
            f"UPDATE landscape_curve SET data = (SELECT data FROM landscape_curve WHERE trial_id "
            f"= {LAST_DONE} AND metric = 'train_loss') WHERE trial_id = {ONE} AND metric = "
            "'train_loss'",
            "1 cell is finished, but changed since they were recorded",
        ),
        (
            f"UPDATE trial_user_attributes SET value_json = '{{' WHERE trial_id = {ONE}",
            "Optuna cannot load its study small/sgd/seed0: JSONDecodeError",
        ),
        (
            f"UPDATE trial_params SET distribution_json = '[]' WHERE trial_id = {ONE}",
            "Optuna cannot load its study small/sgd/seed0",
        ),
        (
            f"UPDATE trial_values SET value_type = 'INF_POS' WHERE trial_id = {ONE}",
            "Optuna cannot load its study small/sgd/seed0: AssertionError",
        ),
        (
            f"UPDATE trial_user_attributes SET value_json = '7' WHERE trial_id = {ONE} AND key = "
            "'train_loss'",
            "1 cell is with other results in Optuna than here",
        ),
        (
            f"UPDATE trial_intermediate_values SET intermediate_value = 7 WHERE trial_id = {ONE}",
            "1 cell is with other results in Optuna than here",
        ),
        (
            f"UPDATE trials SET number = 1 WHERE trial_id = {ONE}",
            "2 cells are with the number of another trial in Optuna",
        ),
        (
            f"DELETE FROM trial_params WHERE trial_id = {ONE} AND param_name = 'lambda'",
            "1 cell is with other parameters in Optuna than here",
        ),
        (
            f"UPDATE trial_params SET param_value = 7 WHERE trial_id = {LAST}",
            "1 cell is with other parameters in Optuna than here",
        ),
        (
            "UPDATE study_directions SET direction = 'MAXIMIZE'",
            "Optuna cannot load its study small/sgd/seed0: ValueError: it is not to be minimized",
        ),
        (f"DELETE FROM landscape_cell WHERE trial_id = {ONE}", "1 cell is missing"),
        (
            f"UPDATE landscape_cell SET alpha = 7 WHERE trial_id = {ONE}",
            "1 cell is not part of the study's grids (α = 7, λ = 0)",
        ),
        (
            f"UPDATE landscape_cell SET optuna_study_id = 99, alpha = 0.1 WHERE trial_id = {ONE}",
            "1 cell is there twice (α = 0.1, λ = 0)",
        ),
        (f"DELETE FROM trials WHERE trial_id = {ONE}", "1 cell is without a trial in Optuna"),
        (
            f"DELETE FROM trials WHERE trial_id = {ONE}",
            "errors that belong to no trial in Optuna: 1",
        ),
        (
            f"DELETE FROM landscape_chunk WHERE chunk_id = {CHUNK}",
            "cells that belong to no chunk: 2",
        ),
        (
            f"UPDATE landscape_chunk SET study_id = 99 WHERE chunk_id = {CHUNK}",
            "chunks that belong to no study: 1",
        ),
        (
            "INSERT INTO landscape_chunk (study_id, panel, seed, state, expires, attempts) "
            "VALUES (1, 'sgd', 0, 'open', 0, 0)",
            "chunks that have no cells: 1",
        ),
        (
            f"DELETE FROM landscape_cell WHERE trial_id = {ONE}",
            "curves that belong to no cell: 7",
        ),
        (
            f"DELETE FROM landscape_cell WHERE trial_id = {ONE}",
            "trials of our Optuna studies that belong to no cell: 1",
        ),
    ],
)
def test_each_fault_is_found(half_done: Store, statement: str, found: str):
    spoil(half_done, statement)
    told = list(check(half_done, ["small"]))
    assert any(found in finding.what for finding in told), told
    assert all("landscape " in finding.remedy for finding in told)


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            f"UPDATE landscape_cell SET train_loss = 'low' WHERE trial_id = {ONE}",
            "values of landscape_cell.train_loss that are no number: 1",
        ),
        (
            f"UPDATE landscape_cell SET test_loss = 9e999 WHERE trial_id = {ONE}",
            "values of landscape_cell.test_loss that are no number: 1",
        ),
        (
            "UPDATE landscape_chunk SET seconds = 'long'",
            "values of landscape_chunk.seconds that are no number: 6",
        ),
        (
            f"UPDATE trial_values SET value = 'good' WHERE trial_id = {ONE}",
            "values of trial_values.value that are no number: 1",
        ),
        (
            "UPDATE landscape_study SET fingerprint = x'00ff'",
            "values of landscape_study.fingerprint that are no text: 1",
        ),
        (
            f"UPDATE landscape_curve SET data = 'abc' WHERE trial_id = {ONE}",
            "values of landscape_curve.data that are no curve: 7",
        ),
        (
            f"UPDATE trials SET datetime_start = 'noon' WHERE trial_id = {ONE}",
            "Optuna cannot load its study small/sgd/seed0: ValueError",
        ),
        (
            "UPDATE landscape_study SET spec = spec || ' '",
            "what is stored of it was changed since it was recorded",
        ),
        ("UPDATE landscape_study SET spec = x'00'", "what is stored of it is no text"),
    ],
)
def test_what_only_sqlite_takes_is_found_and_merged_away(
    tmp_path: Path, small_study: Study, statement: str, found: str
):
    with closing(Store(str(tmp_path / "a.db"), create=True)) as store:
        train_all(store, make_study(pairs=("sgd",)))
        create(store, small_study)
        spoil(store, statement)
        assert any(found in what for what in faults(store)), faults(store)
        with closing(Store(str(tmp_path / "b.db"), create=True)) as new:
            try:
                (merged,) = merge(new, store, ())
            except (SpecError, StoreError):
                assert new.names() == []
            else:
                assert merged.taken >= 5
                assert faults(new) == []


def test_what_is_open_held_lost_or_failed_is_no_fault(any_store: Store, small_study: Study):
    run_id = begin(any_store, small_study)
    any_store.claim("small", Worker(), run_id)
    any_store.claim("small", Worker(), run_id, lease=-1)
    given_up, recorded = (any_store.claim("small", Worker(), run_id) for _ in range(2))
    assert given_up is not None
    assert recorded is not None
    any_store.fail(given_up, "a reason")
    any_store.record(recorded, make_outcome(2))
    told = list(check(any_store, ["small"]))
    assert [finding.is_fault for finding in told] == [False, False]
    assert "2 cells of panel 'sgd', seed 0, are held by process" in told[0].what
    assert told[1] == Finding(
        "study small: 2 cells failed",
        "try again:  landscape resume small --retry-failed --task examples.spirals:spirals "
        f"--store {shlex.quote(any_store.display_url)}",
        is_fault=False,
    )


def test_a_damaged_file_is_told(tmp_path: Path, small_study: Study):
    path = tmp_path / "small.db"
    store = Store(str(path), create=True)
    train_all(store, small_study)
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = bytes(8192)
    path.write_bytes(content)
    try:
        found = faults(Store(str(path)))
    except StoreError as e:
        found = [str(e)]
    assert any("damaged" in what for what in found), found


@pytest.mark.long
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs SQLite's command sqlite3")
def test_of_a_damaged_file_what_can_be_read_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As the remedy says: what SQLite itself reads, and then what is whole of that."""
    path = tmp_path / "DAMAGED.db"
    with closing(Store(str(path), create=True)) as store:
        train_all(store, make_study(seeds=20))
        curve = store.curves("small")[0]["values"].tobytes()
    content = bytearray(path.read_bytes())
    page = content.index(curve) // 4096 * 4096
    content[page : page + 4096] = b"\xaa" * 4096
    path.write_bytes(content)
    with closing(Store(str(path))) as damaged, pytest.raises(StoreError) as caught:
        list(check(damaged, ["small"]))
    _, commands = str(caught.value).split("save what can be read:  ")
    read, merge_ = commands.split("; landscape ")
    subprocess.run(read, shell=True, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, merge_.split())
    taken = re.search(r"(\d+) cells taken, .* (\d+) left out, which are not whole", result.output)
    assert taken is not None, result.output
    assert int(taken[1]) > 150
    assert int(taken[1]) + int(taken[2]) == 240
    with closing(Store(str(tmp_path / "NEW.db"))) as saved:
        assert list(check(saved, ["small"])) == []


def test_a_state_that_there_is_not_is_found(half_done: Store):
    if not half_done.database.is_sqlite:
        pytest.skip("PostgreSQL takes no such state")
    spoil(half_done, "UPDATE trials SET state = 'C MPLETE' WHERE trial_id = 1")
    told = faults(half_done)
    assert any("1 cell is in another state in Optuna than here" in what for what in told)


def test_only_the_studies_asked_for_are_looked_at(half_done: Store, small_study: Study):
    train_all(half_done, small_study.change(name="other"))
    spoil(half_done, f"DELETE FROM trial_values WHERE trial_id = {ONE}")
    assert list(check(half_done, ["other"])) == []
    assert len(list(check(half_done, ["small"]))) == 1


def test_a_study_that_is_none_is_told_and_the_others_are_looked_at(half_done: Store):
    train_all(half_done, make_study(name="other"))
    spoil(half_done, "UPDATE landscape_study SET spec = '{}' WHERE name = 'small'")
    spoil(half_done, f"DELETE FROM trial_values WHERE trial_id = {LAST}")
    first, second = faults(half_done)
    assert "what is stored of it is no study" in first
    assert "study other, panel 'adamw', seed 0: 1 cell is finished, but without an error" in second
