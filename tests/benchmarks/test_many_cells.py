"""Very many cells, tried with few."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.many_cells import main
from click.testing import CliRunner

from landscape_study.study.store import Store
from landscape_study.study.store.checking import check


@pytest.mark.long
def test_it_works_from_end_to_end(tmp_path: Path):
    path = tmp_path / "many.db"
    options = ["--side", "5", "--seeds", "2", "--store", str(path)]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    said = [line.partition(":")[0] for line in done.output.splitlines()]
    assert said == [
        *("small", "small", "many", "many", "status", "list", "run --dry-run"),
        *("status of the small one", "report of the small one"),
    ]
    assert "many: 200 cells created in" in done.output
    store = Store(str(path))
    assert {p.finished for p in store.progress("many")} == {50}
    assert list(check(store, ["small", "many"])) == []
    store.close()
    again = CliRunner().invoke(main, options)  # is only looked at
    assert "created" not in again.output
    assert again.exit_code == 0
