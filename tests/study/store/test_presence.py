"""Exit code 0 means there: the file that a run writes into is the one that its name names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from landscape_study.study.errors import StoreError, TrainingError
from landscape_study.study.running.driver import require_settled
from landscape_study.study.store import Store
from landscape_study.study.store.presence import Presence
from tests.conftest import make_study
from tests.study.store.test_store import begin, create, train_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def watched(path: Path) -> Iterator[Presence]:
    """A run that has finished some cells."""
    with closing(Store(str(path), create=True)) as store:
        train_all(store, make_study(pairs=("sgd",)))
        yield Presence(store, begin(store, make_study()))


def test_all_is_well_while_the_file_stays(watched: Presence):
    watched.require()
    create(watched.store, make_study(seeds=2))
    watched.require()


def test_a_file_that_is_copied_back_is_the_same(watched: Presence, path: Path):
    """Some file systems number files anew; here the log is folded in first."""
    watched.store.close()
    watched.seen = watched._files()
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    watched.require()


def saved(path: Path) -> list[str]:
    """States of the cells in the file that was saved."""
    (found,) = path.parent.glob(f"{path.name}.saved-*")
    with closing(Store(str(found))) as kept:
        return sorted({row["state"] for row in kept.cells("small")})


def test_what_a_deleted_file_held_is_saved(watched: Presence, path: Path):
    path.unlink()
    with pytest.raises(StoreError, match=r"moved, replaced or deleted .* saved in .*saved-"):
        watched.require()
    assert saved(path) == ["finished", "open"]


def test_another_database_in_its_place_is_not_taken_for_it(watched: Presence, path: Path):
    path.rename(path.with_name("moved.db"))
    with closing(Store(str(path), create=True)) as other:
        create(other, make_study())
        with pytest.raises(StoreError, match=r"moved, replaced or deleted .* not be saved"):
            watched.require()  # since the other took its log
    assert not list(path.parent.glob("*.saved-*"))


def test_what_is_not_finished_by_its_name_is_told(path: Path):
    with closing(Store(str(path), create=True)) as store:
        train_all(store, make_study(pairs=("sgd",)))
        create(store, make_study())
        require_settled(store, make_study(pairs=("sgd",)))
        with pytest.raises(TrainingError, match="6 of the 12 cells of study 'small' are not in"):
            require_settled(store, make_study())
