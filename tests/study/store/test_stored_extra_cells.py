"""Cells beside a grid in the database: added, claimed, resumed, checked, merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.records.wishes import Answer, Wish
from landscape_study.study.spec.extension import extended_study, refined_study
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.store.prior_state import missing_cells
from tests.conftest import make_outcome, make_study, pairs_of_two

IDENTITY = Identity("abc", "def")
NEW = (Cell(0.07, 0.001), Cell(0.07, 0.003), Cell(0.1, 0.003))


@pytest.fixture
def store(any_store: Store) -> Store:
    """An empty database of either kind."""
    return any_store


def create(store: Store, study: Study) -> int:
    return store.create(study, IDENTITY, pairs_of_two).new


def train(store: Store, chunks: int = 99) -> list[Cell]:
    """Train so many chunks; the cells that they had."""
    run_id, cells = store.start_run("small", {}), []
    while chunks and (claim := store.claim("small", Worker(), run_id)):
        store.record(claim, make_outcome(len(claim.cells)))
        cells += claim.cells
        chunks -= 1
    store.end_run(run_id)
    return cells


def refined(study: Study) -> Study:
    return refined_study(study, {"sgd": NEW})


def test_only_they_are_new_and_trained(store: Store):
    create(store, make_study())
    train(store)
    before = store.cells("small")
    assert create(store, refined(make_study())) == 3
    assert create(store, refined(make_study())) == create(store, make_study()) == 0
    assert sorted(train(store)) == sorted(NEW)
    assert [row for row in store.cells("small") if row in before] == before
    assert store.study("small").panel("sgd").grid.extra == NEW
    assert list(check(store, ["small"])) == []


def test_stopped_in_between_it_goes_on_with_the_rest(store: Store):
    create(store, refined(make_study(pairs=("sgd",))))
    first = train(store, chunks=3)
    store.release_dead("small")
    assert create(store, refined(make_study(pairs=("sgd",)))) == 0
    assert sorted([*first, *train(store)]) == sorted(store.study("small").panels[0].cells())
    assert {(p.finished, p.total) for p in store.progress("small")} == {(9, 9)}


def test_what_is_missing_is_foretold(store: Store):
    create(store, make_study(seeds=2))
    train(store)
    assert missing_cells(store.url, refined(make_study(seeds=2))) == {
        "sgd": [3, 3],
        "adamw": [0, 0],
    }


class TestSampled:
    STUDY = make_study(pairs=("sgd",)).change_panels(design={"sampler": "tpe", "trials": 4})

    def settle(self, store: Store) -> None:
        """Ask for the trials, train them, ask for no more."""
        wishes = [Wish(Cell(alpha, 0.001), 0) for alpha in (0.05, 0.06, 0.08, 0.09)]
        for answer in (Answer(wishes), Answer(settled="enough")):
            seen = store.known("small", "sgd")
            assert seen is not None
            assert store.ask("small", seen, answer, 8)
        train(store)

    def test_they_do_not_count_as_its_trials(self, store: Store):
        create(store, self.STUDY)
        self.settle(store)
        assert missing_cells(store.url, self.STUDY) == {"sgd": [0]}
        study = refined(self.STUDY)
        assert missing_cells(store.url, study) == {"sgd": [3]}
        assert create(store, study) == 3
        assert missing_cells(store.url, study) == {"sgd": [3]}
        assert sorted(train(store)) == sorted(NEW)
        seen = store.known("small", "sgd")  # it may look at what is new
        assert seen is not None
        assert (seen.asked, len(seen.trials)) == (4, 7)
        assert {(p.finished, p.total) for p in store.progress("small")} == {(7, 7)}
        assert list(check(store, ["small"])) == []

    def test_longer_axes_open_it_again_with_more_trials(self, store: Store):
        create(store, self.STUDY)
        self.settle(store)
        assert not store.is_open("small")
        longer = extended_study(store.study("small"), [("sgd", "alpha-high")], 1)
        create(store, longer)
        seen = store.known("small", "sgd")
        assert seen is not None
        assert seen.panel.sampled == replace_trials(self.STUDY, 5)
        assert seen.panel.grid.spans(Cell(0.105, 0.001))
        assert missing_cells(store.url, longer) == {"sgd": [1]}


def replace_trials(study: Study, trials: int):
    design = study.panels[0].sampled
    assert design is not None
    return design.model_copy(update={"trials": trials})


@pytest.mark.parametrize("both", [False, True])
def test_a_merged_database_has_them(store: Store, tmp_path: Path, both: bool):
    create(store, refined(make_study()) if both else make_study())
    other = Store(str(tmp_path / "other.db"), create=True)
    create(other, refined(make_study()))
    train(other)
    (found,) = merge(store, other, ["small"])
    assert replace(found, there=0) == replace(found, taken=15, open=0, there=0)
    assert store.study("small").panel("sgd").grid.extra == NEW
    assert list(check(store, ["small"])) == []
    other.close()
