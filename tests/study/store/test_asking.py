"""Cells that a sampler asks for: added once, whoever asks, and readable by Optuna."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa

from landscape_study.study.errors import StudyMismatchError
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.records.wishes import Answer, Known, Wish
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from tests.conftest import make_outcome, make_study

IDENTITY = Identity("abc", "def")


@pytest.fixture
def store(any_store: Store) -> Store:
    """An empty database of either kind."""
    return any_store


def sampled(trials: int = 8, sampler: str = "tpe", **rest) -> Study:
    study = make_study(pairs=("sgd", "adamw"), seeds=2, **rest)
    return study.change_panels(design={"sampler": sampler, "trials": trials})


def create(store: Store, study: Study) -> None:
    store.create(study, IDENTITY, lambda cells: [cells] if cells else [])


def known(store: Store, panel: str = "sgd") -> Known:
    found = store.known("small", panel)
    assert found is not None
    return found


def wishes(*alphas: float, seed: int = 0) -> tuple[Wish, ...]:
    return tuple(Wish(Cell(alpha, 0.001), seed, {"why": alpha}) for alpha in alphas)


def ask(store: Store, *asked: Wish, panel: str = "sgd") -> bool:
    return store.ask(store.study("small"), known(store, panel), Answer(asked), width=8)


def train(store: Store) -> int:
    """Train all that is open; how many chunks that were."""
    run_id, chunks = store.start_run("small", {}), 0
    while claim := store.claim("small", Worker(), run_id):
        store.record(claim, make_outcome(len(claim.cells)))
        chunks += 1
    return chunks


def test_before_anything_was_asked_for_the_study_is_open_and_empty(store: Store):
    create(store, sampled())
    assert store.is_open("small")
    assert not store.is_free("small")
    assert {(p.panel, p.total, p.finished) for p in store.progress("small")} == {
        ("sgd", 8, 0),
        ("adamw", 8, 0),
    }
    assert set(store.unsettled("small")) == {"sgd", "adamw"}
    assert known(store).trials == ()


def test_what_is_asked_for_is_claimed_trained_and_known(store: Store):
    create(store, sampled())
    assert ask(store, *wishes(0.06, 0.07), *wishes(0.06, seed=1))
    assert train(store) == 2  # a chunk for each seed
    seen = known(store)
    assert [(one.cell.alpha, one.seed, one.state) for one in seen.trials] == [
        (0.06, 0, "finished"),
        (0.07, 0, "finished"),
        (0.06, 1, "finished"),
    ]
    assert [one.value for one in seen.trials] == [0.0, 1.0, 0.0]
    assert [one.memory for one in seen.trials] == [{"why": 0.06}, {"why": 0.07}, {"why": 0.06}]
    assert seen.asked == 3
    (sgd, _) = sorted(store.progress("small"), key=lambda p: p.panel)[::-1]
    assert (sgd.total, sgd.finished) == (8, 3)
    assert list(check(store, ["small"])) == []


def test_who_asks_with_old_knowledge_adds_nothing(store: Store):
    create(store, sampled())
    old, study = known(store), store.study("small")
    assert store.ask(study, old, Answer(wishes(0.06)), 8)
    assert not store.ask(study, old, Answer(wishes(0.07)), 8)
    assert not store.ask(study, old, Answer(settled="enough"), 8)
    assert [one.cell.alpha for one in known(store).trials] == [0.06]


def test_what_is_there_already_is_not_doubled(store: Store):
    create(store, sampled())
    ask(store, *wishes(0.06))
    assert ask(store, *wishes(0.06, 0.07, 0.07))
    assert [one.cell.alpha for one in known(store).trials] == [0.06, 0.07]
    assert known(store).asked == 4  # so that a sampler that repeats itself comes to its end


def test_a_settled_panel_is_open_no_longer(store: Store):
    create(store, sampled())
    study = store.study("small")
    for panel in ("sgd", "adamw"):
        assert store.is_open("small")
        assert store.ask(study, known(store, panel), Answer(settled="it is clear"), 8)
    assert store.known("small", "sgd") is None
    assert not store.is_open("small")
    assert store.settled("small") == {"sgd": "it is clear", "adamw": "it is clear"}
    assert all(p.total == 0 for p in store.progress("small"))


def test_more_trials_open_it_again_and_the_same_study_does_not(store: Store):
    create(store, sampled())
    ask(store, *wishes(0.06))
    study = store.study("small")
    store.ask(study, known(store), Answer(settled="enough"), 8)
    create(store, sampled())
    assert "sgd" in store.settled("small")
    create(store, sampled(trials=12))
    assert known(store).asked == 1
    assert known(store).panel.trainings(2) == 12


def test_a_grid_becomes_what_a_sampler_knows(store: Store):
    create(store, make_study(pairs=("sgd", "adamw"), seeds=2))
    train(store)
    create(store, sampled())
    assert len(known(store).trials) == 12
    assert {one.state for one in known(store).trials} == {"finished"}
    assert list(check(store, ["small"])) == []
    with pytest.raises(StudyMismatchError, match="panel 'sgd': design"):
        create(store, make_study(pairs=("sgd", "adamw"), seeds=2))


def test_cells_beyond_the_axes_are_told(store: Store):
    create(store, sampled())
    ask(store, Wish(Cell(0.2, 0.001), 0))
    found = [finding.what for finding in check(store, ["small"])]
    assert any("not part of the study" in what for what in found)


@pytest.mark.parametrize("zero", [True, False])
def test_optuna_reads_draws_and_samples_what_was_asked_for(store: Store, zero: bool):
    lambdas = (0.0, 0.001, 0.01) if zero else (0.001, 0.01)
    create(store, sampled(lambdas=lambdas))
    ask(store, *wishes(0.06, 0.07, 0.08, 0.09))
    train(store)
    storage = optuna.storages.RDBStorage(store.url, engine_kwargs={"poolclass": sa.NullPool})
    study = optuna.load_study(study_name="small/sgd/seed0", storage=storage)
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 4
    assert study.trials[0].distributions["lambda"].log is not zero
    assert study.trials[0].system_attrs == {"why": 0.06}
    copy = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    copy.add_trials(study.trials)
    asked = copy.ask(study.trials[0].distributions)
    assert 0.05 <= asked.params["alpha"] <= 0.1
    figure = optuna.visualization.plot_contour(study, params=["alpha", "lambda"])
    assert figure.data


def test_an_older_database_has_no_designs(store: Store):
    create(store, make_study())
    with store.database.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE landscape_design"))
    assert store.unsettled("small") == ()
    assert store.progress("small")
    assert replace(store.progress("small")[0], panel="x").panel == "x"
