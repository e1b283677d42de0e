"""The witness: a cell trained again by the referee, and how far it lies from what was recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape_study.study.agreement.permission import no_watch
from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.plan import Plan, make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running import witness as module
from landscape_study.study.running.driver import run
from landscape_study.study.running.witness import (
    call_witnesses,
    difference,
    newly_done,
    rounding_unit,
)
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import PanelProgress, Store
from landscape_study.study.store.merging import merge
from tests.conftest import make_study

PANELS = ("adamw", "sgd")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, str]:
    """A study of two panels that is done, and its database."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('done')}/done.db", create=True)
    plan = make_plan(
        make_study(pairs=PANELS, seeds=2), RunSettings(device="cpu", workers=1, engine="vmap")
    )
    store.create(plan.study, plan.identity, plan.chunks)
    run(plan, store)
    url = store.url
    store.close()
    return plan, url


@pytest.fixture
def done(trained: tuple[Plan, str], store: Store) -> tuple[Plan, Store]:
    """The same, in a database of the test's own."""
    plan, url = trained
    list(merge(store, Store(url), ()))
    return plan, store


@pytest.mark.slow
def test_a_cell_of_each_panel_is_trained_again_and_agrees(done):
    plan, store = done
    found = call_witnesses(plan, store, PANELS)
    assert [w.panel for w in found] == [p.name for p in plan.study.panels]
    assert store.witnesses("small") == found
    for witness in found:
        assert (witness.agrees, witness.why) == (True, "")
        assert 1 <= witness.epochs <= 3
        assert witness.distance <= 1.0
        cells = plan.study.panel(witness.panel).grid.cells()
        assert (witness.alpha, witness.lambda_) in [(c.alpha, c.lambda_) for c in cells]
        assert witness.seed in (0, 1)


@pytest.mark.slow
def test_what_was_recorded_of_another_network_disagrees(done, monkeypatch):
    plan, store = done
    as_recorded = module._recorded

    def tampered(*of):
        recorded = as_recorded(*of)
        curves = {metric: curve * 1.05 for metric, curve in recorded.curves.items()}
        return replace(recorded, curves=curves)

    monkeypatch.setattr(module, "_recorded", tampered)
    for witness in call_witnesses(plan, store, PANELS):
        assert not witness.agrees
        assert witness.why.startswith("train loss after epoch 1: ")
        assert witness.why.endswith(" by the plain loop")
        assert witness.recorded == pytest.approx(1.05 * witness.found, rel=0.02)


def test_only_the_panels_that_are_named_have_a_witness_and_each_cell_once(done):
    plan, store = done
    assert call_witnesses(plan, store, []) == []
    assert [w.panel for w in call_witnesses(plan, store, ["sgd"])] == ["sgd"]
    assert call_witnesses(plan, store, ["sgd"]) == []  # as of another worker that was sooner


@pytest.mark.slow
def test_a_witness_takes_a_small_share_of_the_time_but_one_epoch_at_least(done, monkeypatch):
    plan, store = done
    monkeypatch.setattr(module, "LEAST", 0.0)
    monkeypatch.setattr(module, "REACH_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", 0.0)
    assert {w.epochs for w in call_witnesses(plan, store, ["sgd"])} == {1}
    monkeypatch.setattr(module, "SHARE", 1e9)
    assert {w.epochs for w in call_witnesses(plan, store, ["adamw"])} == {3}


def test_a_witness_looks_further_than_the_trial_where_that_costs_little(done, monkeypatch):
    plan, store = done
    for name, value in (
        ("LEAST", 0.0),
        ("SHARE", 0.0),
        ("REACH_SECONDS", 1e9),
        ("REACH_SHARE", 1e9),
    ):
        monkeypatch.setattr(module, name, value)
    steps = -(-len(plan.data.train_targets) // plan.setting.batch_size)
    monkeypatch.setattr(module, "REACH", 2 * steps)
    assert {w.epochs for w in call_witnesses(plan, store, ["sgd"])} == {2}
    monkeypatch.setattr(module, "REACH", 2 * steps + 1)
    assert {w.epochs for w in call_witnesses(plan, store, ["adamw"])} == {3}


@pytest.mark.parametrize(("seconds", "panels"), [(1e-9, ["adamw"]), (1e9, ["adamw", "sgd"])])
def test_where_an_epoch_takes_longer_than_a_witness_may_one_panel_has_it(
    done, monkeypatch, seconds: float, panels: list[str]
):
    plan, store = done
    for name, value in (("LEAST", 0.0), ("SHARE", 0.0), ("REACH_SECONDS", 0.0)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "EPOCH", seconds)
    told: list[str] = []
    assert [w.panel for w in call_witnesses(plan, store, PANELS, told.append)] == panels
    assert [line[:31] for line in told] == ["no witness of sgd: an epoch tak"] * (2 - len(panels))
    assert [w.panel for w in store.witnesses("small")] == panels


def test_a_panel_that_took_little_has_a_short_witness(done, monkeypatch):
    plan, store = done
    for name, value in (("LEAST", 0.0), ("SHARE", 0.0), ("REACH_SECONDS", 1e9)):
        monkeypatch.setattr(module, name, value)
    (took,) = (one.seconds for one in store.progress("small") if one.panel == "sgd")
    monkeypatch.setattr(module, "REACH_SHARE", 1e-9 / took)
    assert {w.epochs for w in call_witnesses(plan, store, ["sgd"])} == {1}
    monkeypatch.setattr(module, "REACH_SHARE", 1e9 / took)
    assert {w.epochs for w in call_witnesses(plan, store, ["adamw"])} == {3}


def test_a_task_that_fails_now_leaves_the_study_as_it_is(done):
    plan, store = done

    def fails():
        raise RuntimeError("no more")

    told: list[str] = []
    broken = replace(plan, task=replace(plan.task, network=fails))
    assert call_witnesses(broken, store, PANELS, told.append) == []
    assert told == [
        f"panel {p.name} has no witness: RuntimeError: no more" for p in plan.study.panels
    ]
    assert store.witnesses("small") == []


def progress(panel: str, finished: int, failed: int = 0) -> PanelProgress:
    return PanelProgress(
        panel=panel,
        total=6,
        finished=finished,
        running=0,
        diverged=0,
        failed=failed,
        best=None,
        seconds=1.0,
    )


def test_panels_are_newly_done_when_their_last_cell_was_finished_meanwhile():
    before = [progress("a", 2), progress("b", 6), progress("c", 0), progress("d", 5)]
    after = [progress("a", 6), progress("b", 6), progress("c", 5), progress("d", 5, failed=1)]
    assert newly_done(before, after, ["b", "d"]) == ["a"]
    assert newly_done([], after, ["a"]) == ["a", "b", "d"]


def test_a_panel_that_was_done_before_an_interruption_has_its_witness_later():
    before, after = [progress("a", 6), progress("b", 2)], [progress("a", 6), progress("b", 6)]
    assert newly_done(before, after) == ["a", "b"]
    assert newly_done(before, after, ["a"]) == ["b"]
    assert newly_done(after, after) == ["a", "b"]  # Ctrl-C came before the witnesses
    assert newly_done(after, after, ["a", "b"]) == []
    assert newly_done([], [progress("a", 0, failed=6)]) == []  # nothing to compare with


# ---- what is beyond rounding --------------------------------------------------------------------


def curves(*losses: float, error: float = 10.0) -> dict[str, np.ndarray]:
    e = len(losses)
    return {
        "train_loss": np.array(losses, np.float32),
        "test_loss": np.full(e, 1.0, np.float32),
        "test_error": np.full(e, error, np.float32),
    }


PLAIN = curves(1.0, 0.5, 0.25)


@pytest.mark.parametrize(
    ("recorded", "moved", "why"),
    [
        (PLAIN, PLAIN, ""),
        (curves(1.004, 0.5, 0.25), PLAIN, ""),
        (
            curves(1.0, 0.5, 0.26),
            PLAIN,
            "train loss after epoch 3: 0.26 recorded, 0.25 by the plain loop",
        ),
        (curves(1.0, 0.5, 0.26), curves(1.0, 0.5, 0.251), ""),  # a cell that rounding moves
        (curves(1.0, 0.53, 0.25), curves(1.0, 0.5, 0.251), ""),  # an engine shows it sooner
        (curves(1.0, 0.5, 0.25, 0.9), PLAIN, ""),  # only the epochs that were trained again
        (curves(1.0, 0.5, 0.25, error=10.3), PLAIN, ""),  # three of a thousand
        (
            curves(1.0, 0.5, 0.25, error=10.5),
            PLAIN,
            "test error after epoch 1: 10.5 recorded, 10 by the plain loop",
        ),
        (
            curves(1.0, np.nan, np.nan),
            PLAIN,
            "train loss after epoch 2: nan recorded, 0.5 by the plain loop",
        ),
        (curves(1.0, np.nan, np.nan), curves(1.0, 0.5, np.nan), "train loss after epoch 2"),
    ],
)
def test_what_differs_by_more_than_rounding_does(recorded, moved, why):
    found = difference(recorded, PLAIN, moved, examples=1000)
    assert found == why or (why and found.startswith(why))


@pytest.mark.parametrize(
    ("shaken", "tried", "agrees"),
    [
        ([curves(1.0, 0.5, 0.25)] * 4, 4, False),
        ([curves(1.0, 0.5, 0.25), curves(1.0, 0.5, 0.2501), curves(1.0, 0.5, 0.251)], 3, True),
        ([curves(1.0, 0.5, 0.251)], 1, True),
        ([curves(1.0, 0.5, 0.25), curves(1.0, 0.5, np.nan)], 2, True),
    ],
)
def test_start_weights_are_moved_several_ways_before_a_cell_is_said_to_differ(
    done, monkeypatch: pytest.MonkeyPatch, shaken, tried: int, agrees: bool
):
    plan, _ = done
    draws: list[int] = []

    def train(plan, panel, recorded, unit, seconds, epochs, advance, draw=0):
        if not unit:
            return PLAIN
        draws.append(draw)
        return shaken[draw]

    recorded = module.Recorded(0, Cell(0.1, 0.0), curves(1.0, 0.5, 0.26))
    monkeypatch.setattr(module, "_train", train)
    found = module._witness(plan, plan.study.panels[0], recorded, module.UNLIMITED, no_watch)
    assert draws == list(range(tried))
    assert found.agrees is agrees


def test_what_rounding_does_is_not_asked_where_nothing_differs(done, monkeypatch):
    plan, _ = done
    shaken: list[float] = []

    def train(plan, panel, recorded, unit, *rest):
        shaken.append(unit)
        return PLAIN

    recorded = module.Recorded(0, Cell(0.1, 0.0), PLAIN)
    monkeypatch.setattr(module, "_train", train)
    found = module._witness(plan, plan.study.panels[0], recorded, module.UNLIMITED, no_watch)
    assert shaken == [0.0]
    assert found.agrees
    assert np.isnan(found.rounding)


def test_where_the_plain_loop_diverges_by_rounding_nothing_is_known():
    wild = curves(1.0, np.nan, np.nan)
    assert difference(PLAIN, wild, PLAIN, examples=1000) == ""
    assert difference(wild, wild, wild, examples=1000) == ""
    assert difference(PLAIN, wild, wild, examples=1000).startswith("train loss after epoch 2")


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        (Options(), 2**-23),
        (Options(precision="float64"), 2**-52),
        (Options(bf16=True), 2**-8),
        (Options(tf32=True), 2**-11),
    ],
)
def test_a_rounding_unit_is_that_of_the_studys_arithmetic(options, unit):
    assert rounding_unit(options) == unit
