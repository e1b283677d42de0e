"""Cells that a sampler asks for: added once, whoever asks, and readable by Optuna."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from landscape_study.study.errors import StudyMismatchError
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import Worker
from landscape_study.study.records.wishes import Answer, Known, Wish
from landscape_study.study.sampling import load_sampler
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from tests.conftest import make_outcome, make_study

IDENTITY = Identity("abc", "def")


@pytest.fixture
def store(any_store: Store) -> Store:
    """An empty database of either kind."""
    return any_store


def sampled(trials: int = 8, sampler: str = "tpe", seeds: int = 2, **rest) -> Study:
    study = make_study(pairs=("sgd", "adamw"), seeds=seeds, **rest)
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
    return store.ask("small", known(store, panel), Answer(asked), width=8)


def train(store: Store) -> int:
    """Train all that is open; how many chunks that were."""
    run_id, chunks, study = store.start_run("small", {}), 0, store.study("small")
    while claim := store.claim("small", Worker(), run_id):
        store.record(claim, make_outcome(len(claim.cells), study.panel(claim.panel).epochs))
        chunks += 1
    return chunks


def test_before_anything_was_asked_for_the_study_is_open_and_empty(store: Store):
    create(store, sampled())
    assert store.is_open("small")
    assert not store.is_free("small")
    assert [(p.panel, p.total, p.finished) for p in store.progress("small")] == [
        ("sgd", 8, 0),
        ("adamw", 8, 0),
    ]
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
    old = known(store)
    assert store.ask("small", old, Answer(wishes(0.06)), 8)
    assert not store.ask("small", old, Answer(wishes(0.07)), 8)
    assert not store.ask("small", old, Answer(settled="enough"), 8)
    assert [one.cell.alpha for one in known(store).trials] == [0.06]


def test_who_asks_while_the_study_grows_adds_and_settles_nothing(store: Store):
    create(store, sampled())
    for grown in (sampled(trials=12), sampled(trials=12, seeds=3)):
        old = known(store)
        create(store, grown)
        assert not store.ask("small", old, Answer(settled="all were asked for"), 8)
        assert not store.ask("small", old, Answer(wishes(0.06)), 8)
    assert store.known("small", "sgd") is not None
    assert known(store).trials == ()


def test_many_ask_while_the_study_grows(store: Store):
    """Each cell and each number of a trial is given away once."""
    create(store, sampled(trials=1000))

    def asks(number: int) -> None:
        for i in range(10):
            seen = known(store)
            store.ask("small", seen, Answer(wishes(0.06 + 0.001 * number + 0.0001 * i)), 8)

    def grows(number: int) -> None:
        for i in range(10):
            extra = [[0.06 + 0.001 * j, 0.001] for j in range(i + 1)]
            create(store, sampled(trials=1000).change_panels(extra_cells=extra))

    with ThreadPoolExecutor(4) as pool:
        for done in [*(pool.submit(asks, i) for i in range(3)), pool.submit(grows, 0)]:
            done.result()
    rows = [row for row in store.cells("small") if (row["panel"], row["seed"]) == ("sgd", 0)]
    assert sorted(row["trial"] for row in rows) == list(range(len(rows)))
    assert len(rows) > 10
    assert list(check(store, ["small"])) == []


def test_more_seeds_open_what_was_settled(store: Store):
    create(store, sampled())
    store.ask("small", known(store), Answer(settled="every cell is trained"), 8)
    create(store, sampled(seeds=3))
    assert known(store).seeds == (0, 1, 2)


def test_what_is_there_already_is_not_doubled(store: Store):
    create(store, sampled())
    ask(store, *wishes(0.06))
    assert ask(store, *wishes(0.06, 0.07, 0.07))
    assert [one.cell.alpha for one in known(store).trials] == [0.06, 0.07]
    assert known(store).asked == 4  # so that a sampler that repeats itself comes to its end


def test_a_settled_panel_is_open_no_longer(store: Store):
    create(store, sampled())
    for panel in ("sgd", "adamw"):
        assert store.is_open("small")
        assert store.ask("small", known(store, panel), Answer(settled="it is clear"), 8)
    assert store.known("small", "sgd") is None
    assert not store.is_open("small")
    assert store.settled("small") == {"sgd": "it is clear", "adamw": "it is clear"}
    assert all(p.total == 0 for p in store.progress("small"))


def test_more_trials_open_it_again_and_the_same_study_does_not(store: Store):
    create(store, sampled())
    ask(store, *wishes(0.06))
    store.ask("small", known(store), Answer(settled="enough"), 8)
    create(store, sampled())
    assert "sgd" in store.settled("small")
    create(store, sampled(trials=12))
    assert known(store).asked == 1
    found = known(store)
    assert store.study("small").trainings(found.panel) == 12


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


def budgets(seeds: int = 2, **rest) -> Study:
    """Twelve cells at a cheap budget, of which the best eight are trained at a dear one."""
    alphas = (0.0125, 0.025, 0.05, 0.1)
    study = make_study(pairs=("sgd",), seeds=seeds, epochs=3, alphas=alphas, **rest)
    return study.change_panels(epochs=[3, 6])


CHEAP, DEAR = "sgd-3-epochs", "sgd-6-epochs"


def promote(store: Store) -> None:
    """Ask as a worker does, until there is something to train or nothing to ask for."""
    seen = known(store, DEAR)
    assert seen.panel.promoted is not None
    store.ask("small", seen, load_sampler(seen.panel.promoted).ask(seen, 8), 5)


def dear_cells(store: Store) -> list[tuple[int, float, float]]:
    rows = [row for row in store.cells("small") if row["panel"] == DEAR]
    return sorted((row["seed"], row["alpha"], row["lambda"]) for row in rows)


def test_a_dear_panel_knows_nothing_before_the_cheap_one_is_finished(store: Store):
    create(store, budgets())
    assert {(p.panel, p.total) for p in store.progress("small")} == {(CHEAP, 24), (DEAR, 16)}
    run_id = store.start_run("small", {})
    first = store.claim("small", Worker(), run_id)
    assert first is not None
    store.record(first, make_outcome(len(first.cells)))
    assert known(store, DEAR).source is None
    last = store.claim("small", Worker(), run_id)
    assert last is not None
    assert store.claim("small", Worker(), run_id) is None  # others wait
    assert store.is_open("small")
    store.fail(last, "it broke")
    seen = known(store, DEAR).source
    assert seen is not None
    assert [one.state for one in seen] == ["finished"] * 12 + ["failed"] * 12


def test_panels_stand_in_the_order_of_the_study(store: Store):
    """Also those that have no cells yet, whatever their names."""
    study = make_study(pairs=("sgd", "adam")).change_panels(epochs=[3, 12, 6])
    create(store, study)
    assert [p.panel for p in store.progress("small")] == [
        *("sgd-3-epochs", "sgd-6-epochs", "sgd-12-epochs"),
        *("adam-3-epochs", "adam-6-epochs", "adam-12-epochs"),
    ]


def test_the_best_cells_become_chunks_and_then_it_is_settled(store: Store):
    create(store, budgets())
    train(store)
    promote(store)
    best = [(alpha, lambda_) for seed, alpha, lambda_ in dear_cells(store) if seed == 0]
    lambdas = (0.0, 0.001, 0.01)
    assert best == [(a, el) for a in (0.0125, 0.025, 0.05) for el in lambdas][:8]
    assert train(store) == 4  # of each seed four and four
    promote(store)
    assert store.settled("small") == {DEAR: f"the best 8 of 12 cells of {CHEAP}"}
    assert not store.is_open("small")
    assert [p.total for p in store.progress("small")] == [24, 16]
    assert list(check(store, ["small"])) == []
    create(store, budgets())
    assert not store.is_open("small")  # the same study has nothing new


def test_a_further_seed_lets_the_dear_panel_ask_again(store: Store):
    create(store, budgets())
    for _ in range(2):
        train(store)
        promote(store)
    train(store)
    create(store, budgets(seeds=3))
    assert store.unsettled("small") == (DEAR,)
    assert known(store, DEAR).source is None  # the cheap panel has a seed to train
    before = dear_cells(store)
    train(store)
    promote(store)
    assert set(before) < set(dear_cells(store))
    assert {seed for seed, *_ in set(dear_cells(store)) - set(before)} == {2}
    assert len(dear_cells(store)) == 24


def test_who_saw_a_smaller_cheap_panel_settles_nothing(store: Store):
    create(store, budgets())
    train(store)
    promote(store)
    train(store)
    old = known(store, DEAR)
    create(store, budgets(lambdas=(0.0, 0.001, 0.01, 0.1)))
    settled = Answer(settled="the best of what there was")
    assert not store.ask("small", old, settled, 8)
    train(store)
    assert not store.ask("small", old, settled, 8)
    assert store.ask("small", known(store, DEAR), settled, 8)


def test_cells_that_are_tried_again_may_be_among_the_best(store: Store):
    create(store, budgets())
    run_id = store.start_run("small", {})
    for _ in range(2):
        claim = store.claim("small", Worker(), run_id)
        assert claim is not None
        store.fail(claim, "it broke")
    promote(store)
    assert store.settled("small") == {DEAR: f"no cell of {CHEAP} ended well"}
    assert {(p.panel, p.total) for p in store.progress("small")} == {(CHEAP, 24), (DEAR, 0)}
    assert not store.is_open("small")
    assert store.retry_failed("small") == 24
    assert store.unsettled("small") == (DEAR,)
    train(store)
    promote(store)
    assert len(dear_cells(store)) == 16


def test_a_dear_panel_waits_for_a_sampler_too(store: Store):
    study = make_study(pairs=("sgd",), seeds=1, epochs=3)
    design = {"sampler": "random", "trials": 10}
    create(store, study.change_panels(epochs=[3, 6], design=design))
    assert set(store.unsettled("small")) == {CHEAP, DEAR}
    ask(store, *wishes(0.06, 0.07, 0.08), panel=CHEAP)
    train(store)
    assert known(store, DEAR).source is None  # the sampler may ask for more
    store.ask("small", known(store, CHEAP), Answer(settled="enough"), 8)
    promote(store)
    assert [alpha for _, alpha, _ in dear_cells(store)] == [0.06, 0.07, 0.08]


def test_an_earlier_grid_of_another_database_is_no_trial(store: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "other.db"), create=True)) as other:
        create(other, make_study(pairs=("sgd", "adamw"), seeds=2))
        train(other)
        create(other, sampled())
        ask(other, *wishes(0.06, 0.07))
        train(other)
        for _ in range(2):  # the second time nothing is new
            (found,) = merge(store, other, ["small"])
            assert found.taken + found.there == 2 * 12 + 2
            assert (known(store).asked, known(store, "adamw").asked) == (2, 0)
            assert found.open == 6 + 8


def test_the_best_cells_come_along_with_another_database(store: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "other.db"), create=True)) as other:
        for _ in range(2):
            create(other, budgets())
            train(other)
            promote(other)
        train(other)
        create(store, budgets())
        (found,) = merge(store, other, ["small"])
        assert (found.taken, found.open) == (24 + 16, 0)
        promote(store)
        assert store.settled("small") == other.settled("small")
        assert dear_cells(store) == dear_cells(other)
        assert list(check(store, ["small"])) == []
        (again,) = merge(store, other, ["small"])
        assert again.taken == 0
        assert store.settled("small")  # nothing new came


def test_results_of_another_database_may_be_among_the_best(store: Store, tmp_path: Path):
    with closing(Store(str(tmp_path / "other.db"), create=True)) as other:
        for one, seed in ((store, 0), (other, 1)):
            create(one, budgets())
            run_id = one.start_run("small", {})
            while claim := one.claim("small", Worker(), run_id):
                if claim.seed == seed:
                    one.record(claim, make_outcome(len(claim.cells)))
                else:
                    one.fail(claim, "it broke")
        promote(store)
        train(store)
        promote(store)
        assert store.settled("small")
        (found,) = merge(store, other, ["small"])
        assert found.taken == 12
        assert store.unsettled("small") == (DEAR,)
