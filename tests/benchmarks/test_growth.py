"""How cost grows: what is run, and what the database is filled with."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import growth
from benchmarks.growth import CELLS, CHUNK, FINISHED, database, square_study, up_to
from benchmarks.results import Settings
from benchmarks.rows import count_cells

from landscape_study.study.spec.study import Study
from tests.benchmarks.test_throughput import cells, repetition


def quiet(tmp_path: Path, *, quick: bool = True, repeats: int = 1) -> Settings:
    return Settings(repeats, quick, tmp_path, lambda line: None)


@pytest.mark.parametrize("count", CELLS)
def test_studies_have_as_many_cells_as_they_say(count: int):
    assert count_cells(square_study(count, 5)) == count
    assert {panel.epochs for panel in square_study(count, 5).panels} == {5}


@pytest.mark.parametrize("finished", FINISHED)
def test_databases_have_room_for_the_chunks(finished: int):
    assert count_cells(square_study(CHUNK, 5, finished + 3)) == CHUNK * (finished + 3)


@pytest.mark.parametrize(
    ("cores", "workers"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
)
def test_workers_go_up_to_the_cores(cores: int, workers: list[int]):
    assert up_to(cores) == workers


def test_a_run_is_made_once_though_several_rows_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = []

    def train(command: object, study: Study) -> object:
        made.append(count_cells(study))
        return repetition(4.0, cells(1.0))

    monkeypatch.setattr(growth, "train", train)
    monkeypatch.setattr(growth, "database", lambda chunks, settings: {"finished_cells": chunks})
    monkeypatch.setattr(growth, "usable_cores", lambda: 2)
    facts = growth.measure(quiet(tmp_path, quick=False, repeats=2))
    # 256 cells: by both workers and three budgets, one of which is that of the other cells
    assert sorted(made) == [16] * 2 + [64] * 2 + [256] * 2 * 4 + [1024, 10240]
    assert [run["workers"] for run in facts["workers"]] == [1, 2]
    assert facts["cells"][2] == facts["epochs"][0] == facts["workers"][1]
    per_cell_epoch = facts["cells"][0]["ms_per_cell_epoch"]["median"]
    assert per_cell_epoch == 1000 * 4.0 / (16 * facts["cells"][0]["epochs"])


def test_the_database_is_filled_and_timed(tmp_path: Path):
    facts = database(1, quiet(tmp_path))
    assert facts["finished_cells"] == CHUNK
    assert set(facts["seconds"]) == {"claim", "record", "is_open", "progress", "status"}
    assert facts["seconds"]["is_open"]["median"] < facts["seconds"]["status"]["median"]
