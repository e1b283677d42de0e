"""Panels over other numbers than α and λ: trained as their options say, stored by their names."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import optuna
import pytest

from landscape_study.landscapes.reading.frames import cells_frame
from landscape_study.study.errors import UsageError
from landscape_study.study.records.provenance import Worker
from landscape_study.study.running.witness import call_witnesses
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store, optuna_study_name
from landscape_study.study.store.checking import check
from landscape_study.study.store.merging import merge
from landscape_study.study.store.prior_state import missing_cells
from tests.conftest import make_study
from tests.study.runs import planned, train_here

BETAS, LAMBDAS = (0.9, 0.99), (0.0, 0.01, 0.1)
AXES = {"alpha": 0.05, "beta2": list(BETAS), "lambda": list(LAMBDAS)}


def over_beta2(**changes: object) -> Study:
    """Two β2 and three λ of AdamW on the spirals, or other numbers."""
    study = make_study(pairs=("adamw",))
    return study.change_panels(**(AXES | changes))


def values(store: Store, name: str = "small") -> dict[tuple[str, float, float], float]:
    """By the cells' other numbers, α and λ."""
    return {(row["own"], row["alpha"], row["lambda"]): row["value"] for row in store.cells(name)}


@pytest.mark.slow
class TestTrained:
    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Store:
        store = Store(str(tmp_path_factory.mktemp("axes") / "test.db"), create=True)
        train_here(planned(store, over_beta2(), chunk=8, engine="vmap"), store)
        return store

    @pytest.mark.arithmetic
    @pytest.mark.parametrize("beta2", BETAS)
    def test_a_cell_is_trained_as_where_options_say_its_number(
        self, trained: Store, tmp_path: Path, beta2: float
    ):
        study = make_study(pairs=("adamw",), alphas=(0.05,), lambdas=LAMBDAS)
        study = study.change_panels(options={"beta2": beta2})
        with closing(Store(str(tmp_path / "plain.db"), create=True)) as plain:
            train_here(planned(plain, study, chunk=8, engine="vmap"), plain)
            expected = {(alpha, el): value for (_, alpha, el), value in values(plain).items()}
        own = {
            (alpha, el): value
            for (told, alpha, el), value in values(trained).items()
            if told == f"beta2={beta2}"
        }
        assert own == expected  # to the bit: the same chunks

    def test_chunks_share_all_numbers_but_alpha_and_lambda(self, trained: Store):
        (panel,) = trained.study("small").panels
        assert panel.at_once(seeds=1) == len(LAMBDAS)
        with closing(Store(trained.url)) as again:
            assert missing_cells(again.url, over_beta2()) == {"adamw": [0]}

    def test_optuna_has_the_numbers_under_their_names(self, trained: Store):
        name = optuna_study_name("small", "adamw", 0)
        found = optuna.load_study(study_name=name, storage=trained.url)
        assert {tuple(trial.params) for trial in found.trials} == {("lambda", "beta2")}
        assert {trial.params["beta2"] for trial in found.trials} == set(BETAS)
        assert found.user_attrs["axes"] == "beta2 × lambda"
        assert found.user_attrs["alpha"] == 0.05

    def test_a_check_finds_nothing_and_a_witness_agrees(self, trained: Store):
        plan = planned(trained, over_beta2(), chunk=8, engine="vmap")
        (witness,) = call_witnesses(plan, trained, ["adamw"])
        assert witness.agrees
        assert witness.cell in trained.study("small").panels[0].cells()
        assert trained.witnesses("small") == [witness]
        assert list(check(trained, ["small"])) == []

    def test_a_merged_database_is_the_same(self, trained: Store, store: Store):
        (merged,) = merge(store, trained, ["small"])
        assert (merged.taken, merged.there) == (6, 0)
        assert values(store) == values(trained)
        assert list(check(store, ["small"])) == []
        (again,) = merge(store, trained, ["small"])
        assert (again.taken, again.there) == (0, 6)


@pytest.mark.slow
def test_what_was_interrupted_is_resumed_to_the_bit(store: Store, tmp_path: Path):
    study = over_beta2()
    plan = planned(store, study, chunk=2, engine="vmap")
    run_id = store.start_run("small", {})
    claim = store.claim("small", Worker(), run_id)
    assert claim is not None
    assert len({cell.own for cell in claim.cells}) == 1
    store.release(claim)
    store.end_run(run_id)
    train_here(plan, store)
    with closing(Store(str(tmp_path / "whole.db"), create=True)) as whole:
        train_here(planned(whole, study, chunk=2, engine="vmap"), whole)
        assert values(whole) == values(store)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe", "verdict"])
def test_samplers_ask_between_the_ends_of_the_axes(store: Store, sampler: str):
    axes = {"beta2": [0.9, 0.99, 0.999], "lambda": [0, 0.001, 0.01, 0.1]}
    study = over_beta2(**axes, design={"sampler": sampler, "trials": 16}, epochs=1)
    train_here(planned(store, study, chunk=4, engine="vmap"), store)
    cells = cells_frame(store, "small")
    assert len(cells) == 16 if sampler != "verdict" else len(cells) > 9
    assert cells["beta2"].between(0.9, 0.999).all()
    assert cells["beta2"].nunique() > 2
    assert (cells["alpha"] == 0.05).all()
    assert list(check(store, ["small"])) == []


@pytest.mark.slow
def test_batch_sizes_are_trained_each_for_itself(store: Store):
    study = over_beta2(beta2=None, batch_size=[10, 20], epochs=1)
    train_here(planned(store, study, chunk=8, engine="vmap"), store)
    assert {told for told, _, _ in values(store)} == {"batch_size=10.0", "batch_size=20.0"}
    assert list(check(store, ["small"])) == []


def test_labels_are_smoothed_in_training_only(store: Store, tmp_path: Path):
    changes = {"beta2": None, "label_smoothing": [0, 0.2], "epochs": 1}
    train_here(planned(store, over_beta2(**changes), chunk=8, engine="vmap"), store)
    found = cells_frame(store, "small").pivot(index="lambda", columns="label_smoothing")
    assert (found["train_loss"][0.2] > found["train_loss"][0.0]).all()
    with closing(Store(str(tmp_path / "plain.db"), create=True)) as plain:
        study = make_study(pairs=("adamw",), alphas=(0.05,), lambdas=LAMBDAS, epochs=1)
        train_here(planned(plain, study, chunk=8, engine="vmap"), plain)
        cells = cells_frame(plain, "small").set_index("lambda")
    assert (found["test_loss"][0.0] == cells["test_loss"]).all()


def test_dropout_is_refused_where_there_is_none(store: Store):
    study = over_beta2(beta2=None, dropout=[0, 0.2])
    with pytest.raises(UsageError, match=r"has no module such as torch\.nn\.Dropout to set"):
        planned(store, study)


def test_a_cell_has_its_other_numbers_in_its_name():
    cell = Cell(0.05, 0.1, (("beta2", 0.99),))
    assert cell.told == "α = 0.05, λ = 0.1, β2 = 0.99"
    assert sorted([cell, Cell(0.05, 0.1)]) == [Cell(0.05, 0.1), cell]
