"""Cells that leave a chunk before its end: the others go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.standing import Standing
from landscape_study.study.spec.study import Cell
from landscape_study.study.training.chunk import halved
from landscape_study.study.training.engines import ENGINES
from tests.study.chunks import CELLS, assert_same_outcome
from tests.study.networks import batch_norm_mlp, dropout_mlp
from tests.study.training.test_checkpoint import (
    InterruptionError,
    interrupt_at,
    make_checkpoint,
)
from tests.study.training.test_chunk import noise

pytestmark = pytest.mark.slow

EPOCHS = 3


class Leavers:
    """A pruner that gives up some cells after some epochs, and remembers what it saw."""

    def __init__(self, after: dict[int, Sequence[Cell]]) -> None:
        self.after, self.seen = after, []

    def stops(self, epochs: int) -> list[int]:
        assert epochs == EPOCHS
        return sorted(self.after)

    def leaving(self, standing: Standing) -> np.ndarray:
        assert standing.costs.shape == (len(standing.cells), standing.epoch)
        self.seen.append(standing)
        return np.array([cell in self.after[standing.epoch] for cell in standing.cells])


def assert_pruned(outcome: Outcome, whole: Outcome, pruned: Sequence[int], **close: float) -> None:
    """The same curves as without a pruner, up to where it gave a cell up."""
    assert outcome.pruned_epoch.tolist() == list(pruned)
    assert outcome.epochs().tolist() == [epoch or EPOCHS for epoch in pruned]
    for name in ("curves", "mechanism"):
        ours, theirs = getattr(outcome, name), getattr(whole, name)
        assert ours.keys() == theirs.keys()
        for metric, curves in theirs.items():
            for one, other, epochs in zip(ours[metric], curves, outcome.epochs(), strict=True):
                np.testing.assert_allclose(one[:epochs], other[:epochs], **close)


def engines_of_networks():
    """Compiled, each number of cells takes long: of one network only."""
    for network in (batch_norm_mlp, dropout_mlp):
        yield from ((engine, network) for engine in ("vmap", "referee"))
        yield pytest.param("captured", network, marks=pytest.mark.long)
    yield pytest.param("compiled", batch_norm_mlp, marks=pytest.mark.long)


@pytest.mark.parametrize(("engine", "network"), [*engines_of_networks()])
def test_who_stays_is_trained_as_without_those_who_leave(
    engine, network, make_task, make_panel, train
):
    task, panel = make_task(network, augment=noise), make_panel("adamw")
    whole = train(task, panel, engine=engine).outcome
    pruner = Leavers({1: [CELLS[1]], 2: [CELLS[3]]})
    outcome = train(task, panel, engine=engine, pruner=pruner).outcome
    assert_pruned(outcome, whole, [0, 1, 0, 2], rtol=1e-5, atol=1e-7)
    assert [one.cells for one in pruner.seen] == [CELLS, [CELLS[0], CELLS[2], CELLS[3]]]
    assert [one.epoch for one in pruner.seen] == [1, 2]
    errors = whole.curves["test_error"]
    np.testing.assert_allclose(pruner.seen[1].costs, errors[[0, 2, 3], :2], rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["vmap", "referee"])
@pytest.mark.parametrize("call", [3, 8, 11, 20, 27])
def test_what_was_interrupted_gives_up_the_same(
    engine, call, make_task, make_panel, train, tmp_path
):
    task, panel = make_task(dropout_mlp, augment=noise), make_panel("adamw")
    leave = {1: [CELLS[1]], 2: [CELLS[0]]}
    whole = train(task, panel, engine=engine, pruner=Leavers(leave)).outcome
    settings = {"engine": engine, "checkpoint": make_checkpoint(tmp_path)}
    calls: list[int] = []
    try:
        train(task, panel, **settings, pruner=Leavers(leave), on_step=interrupt_at(call))
    except InterruptionError:
        calls.append(call)
    assert calls or (engine == "vmap" and call > 18)  # three epochs of six calls
    again = train(
        task, panel, engine=engine, pruner=Leavers(leave), checkpoint=make_checkpoint(tmp_path)
    )
    assert_same_outcome(again.outcome, whole)


def test_a_part_of_an_interrupted_chunk_goes_on(make_task, make_panel, train, tmp_path):
    """A chunk that was taken apart in the meantime: one of its cells had left."""
    task, panel = make_task(batch_norm_mlp), make_panel("adamw")
    leave = {1: [CELLS[1]], 2: []}
    whole = train(task, panel, pruner=Leavers(leave)).outcome
    kept = {"checkpoint": make_checkpoint(tmp_path), "on_step": interrupt_at(9)}
    with pytest.raises(InterruptionError):
        train(task, panel, pruner=Leavers(leave), **kept)
    mine, steps = CELLS[1:3], []
    part = train(
        task,
        panel,
        mine,
        pruner=Leavers(leave),
        checkpoint=make_checkpoint(tmp_path, cells=mine),
        on_step=lambda: steps.append(1),
    ).outcome
    assert len(steps) < 2 * 6
    assert part.pruned_epoch.tolist() == [1, 0]
    for metric, curves in whole.curves.items():
        np.testing.assert_allclose(part.curves[metric][1], curves[2], rtol=1e-5)
        np.testing.assert_allclose(part.curves[metric][0, :1], curves[1, :1], rtol=1e-5)


def test_a_part_in_which_nobody_is_looked_at_any_more_ends(make_task, make_panel, train, tmp_path):
    """A chunk that was taken apart, of a cell that had stayed to fill up."""
    task, panel = make_task(batch_norm_mlp), make_panel("adamw")
    settings = {"engine": "captured", "pruner": Leavers({1: CELLS[:1], 2: []})}
    kept = make_checkpoint(tmp_path)
    with pytest.raises(InterruptionError):
        train(task, panel, **settings, checkpoint=kept, on_step=interrupt_at(9))
    kept = make_checkpoint(tmp_path, cells=CELLS[:1])
    steps: list[int] = []
    part = train(
        task,
        panel,
        CELLS[:1],
        **settings,
        checkpoint=kept,
        on_step=lambda: steps.append(1),
    ).outcome
    assert part.pruned_epoch.tolist() == [1]
    assert len(steps) < 6


def test_who_diverged_is_gone_but_not_pruned(make_task, make_panel, train):
    task, panel = make_task(batch_norm_mlp), make_panel("sgd")
    cells = [Cell(0.05, 0.0), Cell(1e30, 0.0), Cell(0.02, 0.0)]
    pruner = Leavers({1: [cells[1]], 2: [cells[2]]})
    outcome = train(task, panel, cells, pruner=pruner).outcome
    assert outcome.pruned_epoch.tolist() == [0, 0, 2]
    assert outcome.lost_epoch().tolist() == [0, 1, 0]
    assert np.isinf(pruner.seen[0].costs[1]).all()
    assert pruner.seen[1].cells == [cells[0], cells[2]]


def test_what_fills_up_is_never_looked_at(make_task, make_panel, train):
    task, panel = make_task(batch_norm_mlp), make_panel("adamw")
    cells = [*CELLS[:2], CELLS[1], CELLS[1]]
    pruner = Leavers({1: [CELLS[1]], 2: []})
    outcome = train(task, panel, cells, engine="captured", pruner=pruner).outcome
    assert [one.cells for one in pruner.seen] == [CELLS[:2], CELLS[:1]]
    assert outcome.first(2).pruned_epoch.tolist() == [0, 1]


def test_everybody_may_leave(make_task, make_panel, train):
    steps: list[int] = []
    outcome = train(
        make_task(batch_norm_mlp),
        make_panel("adamw"),
        pruner=Leavers({1: CELLS, 2: []}),
        on_step=lambda: steps.append(1),
    ).outcome
    assert outcome.pruned_epoch.tolist() == [1] * 4
    assert len(steps) == 6  # of the first epoch


def test_where_each_number_of_cells_costs_time_they_are_halved(
    make_task, make_panel, train, monkeypatch
):
    """One of four that leaves is taken along; of two more both go with it."""
    widths = []
    begun = ENGINES["captured"].__init__

    def init(self, assignment, programs=None):
        widths.append(len(assignment.cells))
        begun(self, assignment, programs)

    monkeypatch.setattr(ENGINES["captured"], "__init__", init)
    pruner = Leavers({1: CELLS[:1], 2: CELLS[1:3]})
    task, panel = make_task(batch_norm_mlp), make_panel("adamw")
    outcome = train(task, panel, engine="captured", pruner=pruner).outcome
    assert widths == [4, 4, 1]
    assert outcome.pruned_epoch.tolist() == [1, 2, 2, 0]
    assert pruner.seen[1].cells == CELLS[1:]


@pytest.mark.parametrize(
    ("cells", "staying", "room"),
    [(32, 16, 16), (32, 17, 32), (33, 17, 17), (48, 5, 6), (4, 1, 1), (1, 1, 1), (7, 3, 4)],
)
def test_room_for_those_who_stay(cells, staying, room):
    assert halved(cells, staying) == room


def test_the_value_of_what_was_pruned_is_its_last(make_task, make_panel, train):
    task, panel = make_task(batch_norm_mlp), make_panel("adamw")
    outcome = train(task, panel, pruner=Leavers({1: CELLS[:1], 2: []})).outcome
    curve = outcome.curves["test_error"]
    assert outcome.final("test_error")[0] == curve[0, 0]
    assert outcome.final("test_error")[1] == curve[1, -1]
