"""Captured chunks: what a worker traced for one chunk serves the next, whatever it trains."""

from __future__ import annotations

import pytest
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.training.engines import Programs
from landscape_study.study.training.engines import program as program_module
from tests.study.chunks import CELLS, DOUBLE, assert_equals_plain_loop, assert_same_outcome
from tests.study.networks import MovingAverage, batch_norm_mlp, dropout_mlp


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of the first argument of each function that was traced."""
    found: list[tuple[int, ...]] = []
    trace = program_module.trace

    def noted(function, tensors):
        found.append(tuple(tensors[0].shape))
        return trace(function, tensors)

    monkeypatch.setattr(program_module, "trace", noted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("network", [batch_norm_mlp, dropout_mlp, MovingAverage])
def test_the_next_chunk_is_what_it_would_be_alone(network, make_task, make_panel, train, traced):
    """Another seed has other weights, batches and masks, and another panel other cells."""
    task, programs = make_task(network), Programs()
    first, second = make_panel("adamw"), make_panel("adamw", "constant", epochs=2)
    train(task, first, engine="captured", programs=programs)
    assert len(traced) == 3  # gradient, update, scores
    cells = [Cell(0.003, 0.0), *CELLS[1:]]
    after = train(task, second, cells, seed=1, engine="captured", programs=programs)
    assert len(traced) == 3
    alone = train(task, second, cells, seed=1, engine="captured")
    assert_same_outcome(after.outcome, alone.outcome)
    assert torch.equal(after.theta, alone.theta)
    assert_equals_plain_loop(after, task, second, cells)


@pytest.mark.long
@pytest.mark.slow
def test_only_the_update_of_another_pair_is_traced_anew(make_task, make_panel, train, traced):
    task, programs = make_task(batch_norm_mlp), Programs()
    for pair, count in (("sgd", 3), ("adamw", 4), ("sgdw", 5), ("adamw", 5)):
        panel = make_panel(pair)
        trained = train(task, panel, engine="captured", programs=programs)
        assert len(traced) == count
        assert_equals_plain_loop(trained, task, panel)


@pytest.mark.slow
def test_a_smaller_chunk_is_traced_anew(make_task, make_panel, train, traced):
    task, panel, programs = make_task(batch_norm_mlp), make_panel("sgd"), Programs()
    for cells, count in ((CELLS, 3), (CELLS[:2], 6), (CELLS, 6), (CELLS[1:3], 6)):
        trained = train(task, panel, cells, engine="captured", programs=programs)
        assert len(traced) == count
        assert_equals_plain_loop(trained, task, panel, cells)


@pytest.mark.parametrize("options", [DOUBLE, Options(precision="float64", decay_1d=False)])
def test_the_options_of_the_update_are_kept(options, make_task, make_panel, train):
    task, panel = make_task(batch_norm_mlp), make_panel("adam")
    trained = train(task, panel, engine="captured", options=options)
    assert_equals_plain_loop(trained, task, panel, options=options)
