"""What happens inside of cells: every engine against plain loops that use torch's own norms.

Letters: K cells, E epochs.
"""

import numpy as np
import pytest
import torch
from torch import nn

from landscape_study.study.pairs.meter import AT_ONCE, MECHANISM, Meter, measured_steps
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.training import recorder
from tests.study.chunks import CELLS, plain_mechanism
from tests.study.networks import WithUnusedLayer, layer_norm_mlp, mlp
from tests.study.networks_of_users import ComplexBias
from tests.study.references import plain_training

pytestmark = pytest.mark.arithmetic

EXACT = 1e-12


@pytest.mark.parametrize(
    ("steps", "measured"),
    [(1, [0]), (2, [1]), (5, [2]), (15, [7]), (23, [5, 17]), (64, [*range(4, 64, 8)])],
)
def test_few_steps_are_measured_spread_evenly(steps, measured):
    assert measured_steps(steps) == measured


def test_of_many_steps_no_more_are_measured():
    measured = measured_steps(100_000)
    assert len(measured) == 8
    assert set(np.diff(measured)) == {12_500}
    assert measured[0] == 6_250


@pytest.mark.parametrize("steps", [1, AT_ONCE, AT_ONCE + 3, 2 * AT_ONCE])
def test_clipped_steps_are_counted_whenever_they_are_asked_for(steps):
    meter = Meter(torch.zeros(2, 3), clips=True)
    for epoch in range(2):
        for step in range(steps):
            meter.count(torch.tensor([[1.0], [0.5 if step % 2 == epoch else 1.0]]))
            if step == 1:
                kept = meter.state()
                meter = Meter(torch.zeros(2, 3), clips=True)
                meter.restore(kept)
        clipped = len(range(epoch, steps, 2))
        assert meter.taken()["clipped_share"].tolist() == [0, clipped / steps]


class WithScale(nn.Module):
    """A parameter without dimensions, and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.network = mlp()
        self.network[0].bias.requires_grad_(False)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.network(x)


# What is trained, and how: the clipping bound lies among the norms of the gradients.
TRAININGS = {
    "plain": (mlp, "sgd", {}),
    "decoupled": (mlp, "adamw", {}),
    "clipped": (mlp, "sgdw", {"clip_norm": 1.4}),
    "some without a gradient": (WithUnusedLayer, "sgdw-torch", {"clip_norm": 1.4}),
    "accumulated": (layer_norm_mlp, "adam", {"accumulate": 2, "clip_norm": 1.4}),
    "no decay by name": (layer_norm_mlp, "adamw-torch", {"no_decay": ["*.bias"]}),
    "odd ones": (WithScale, "sgd", {"decay_1d": False}),
}


def trainings():
    for name in TRAININGS:
        size = 2 if name == "accumulated" else 1
        yield pytest.param(name, "vmap", size)
        yield pytest.param(name, "referee", size)
    yield pytest.param("clipped", "captured", 1)


@pytest.fixture
def inside(monkeypatch):
    """What recorders are given of each epoch, before it is rounded to single precision."""
    given = []
    take = recorder.Recorder.add

    def add(self, epoch, values, finite, mechanism):
        given.append({name: value.clone() for name, value in mechanism.items()})
        take(self, epoch, values, finite, mechanism)

    monkeypatch.setattr(recorder.Recorder, "add", add)
    return given


def assert_as_plain(inside, task, panel, options, batch_size, measured):
    """To 1e-12, cell by cell and epoch by epoch."""
    together = len(inside) == panel.epochs
    data = task.data().to("cpu", torch.float64)
    settings = {"seed": 1, "batch_size": batch_size, "options": options}
    shares = []
    for k, cell in enumerate(CELLS):
        plain = plain_training(task, data, panel, cell, **settings)
        expected = plain_mechanism(plain, measured, clips=options.clip_norm < 1e9)
        own = inside if together else inside[k * panel.epochs : (k + 1) * panel.epochs]
        for epoch, found in enumerate(own):
            assert found.keys() == expected.keys()
            for name, values in found.items():
                value = values[k if together else 0].item()
                assert value == pytest.approx(expected[name][epoch], rel=EXACT, abs=EXACT), name
        shares.append(expected.get("clipped_share", 0.5))
    assert 0 < np.mean(shares) < 1


@pytest.mark.some(5)
@pytest.mark.parametrize(("training", "engine", "batch_size"), list(trainings()))
def test_every_engine_measures_what_a_plain_loop_does(
    training, engine, batch_size, make_task, make_panel, train, inside
):
    network, pair, wanted = TRAININGS[training]
    task, panel = make_task(network), make_panel(pair, {"kind": "linear", "warmup": 0.4})
    options = Options(precision="float64", eps=1e-4, **wanted)
    train(task, panel, options=options, engine=engine, batch_size=batch_size)
    measured = {1: [5, 17], 2: [6]}[batch_size]  # of 23 and of 12 steps
    assert_as_plain(inside, task, panel, options, batch_size, measured)


def test_complex_parameters_count_by_their_absolute_values(make_task, make_panel, train, inside):
    task, panel = make_task(ComplexBias), make_panel("adamw")
    options = Options(precision="float64", eps=1e-4, clip_norm=0.9)
    train(task, panel, options=options, engine="referee")
    assert_as_plain(inside, task, panel, options, 5, [2])


def test_the_record_is_single_precision_by_quantity(make_task, make_panel, train):
    clipped = train(make_task(mlp), make_panel("sgd"), options=Options(clip_norm=1.0)).outcome
    assert tuple(clipped.mechanism) == MECHANISM
    for curve in clipped.mechanism.values():
        assert (curve.shape, curve.dtype) == ((len(CELLS), 3), np.float32)
    plain = train(make_task(mlp), make_panel("sgd"), options=Options()).outcome
    assert tuple(plain.mechanism) == MECHANISM[:-1]
    assert not plain.mechanism.keys() & plain.curves.keys()
    for name, curve in clipped.first(2).mechanism.items():
        np.testing.assert_array_equal(curve, clipped.mechanism[name][:2])


def test_a_diverged_cell_has_nothing_inside_from_then_on(make_task, make_panel, train):
    """λ = 4 under plain SGD triples the weights with each step, and alternates their sign."""
    task, panel = make_task(mlp), make_panel("sgdw", "constant", epochs=40)
    outcome = train(task, panel, [Cell(1e-3, 4.0), CELLS[1]], options=Options()).outcome
    epoch = int(outcome.diverged_epoch[0])
    assert 5 < epoch < 40
    for curve in outcome.mechanism.values():
        assert not np.isnan(curve[0, : epoch - 1]).any()
        assert np.isnan(curve[0, epoch - 1 :]).all()
        assert np.isfinite(curve[1]).all()
    weights = outcome.mechanism["weight_norm"][0, : epoch - 1]
    assert weights[4] / weights[3] == pytest.approx(3**5, rel=1e-3)  # five steps an epoch
