"""Chunks trained together against plain loops with torch.optim, one network at a time.

Letters: K cells, P parameters, E epochs.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from study import fused
from study.ensemble import Ensemble, why_not_fused
from study.fused import train_chunk
from study.metrics import METRICS
from study.models.mlp import bn_mlp
from study.outcome import Outcome
from study.pairs import PAIRS
from study.spec import Cell, Options
from tests.study.conftest import CLASSES, TRAIN
from tests.study.references import plain_training, stream

DOUBLE = Options(precision="float64")
CELLS = [Cell(0.05, 0.0), Cell(0.05, 0.1), Cell(0.02, 0.01), Cell(0.002, 0.3)]
BATCH = 5

# Networks: every layer that users are likely to bring


class AttentionNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.attention = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, tokens):
        h = self.embedding(tokens)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return self.head(h.mean(dim=1))


class RecurrentNetwork(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.recurrent = kind(4, 5, batch_first=True)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, tokens):
        return self.head(self.recurrent(self.embedding(tokens))[0][:, -1])


class TiedNetwork(nn.Module):
    """Two layers share one weight; a third parameter is never used."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


class MovingAverage(nn.Module):
    """Centres its inputs by a running mean: a buffer that is assigned anew, not in place."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, CLASSES)
        self.register_buffer("centre", torch.zeros(CLASSES))

    def forward(self, x):
        h = self.linear(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * h.mean(dim=0).detach()
        return (h - self.centre) * (1 + self.centre.square().sum())


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES))


def batch_norm_mlp():
    """As bn_mlp, without the biases that batch norm cancels: see the test of bn_mlp."""
    return nn.Sequential(
        nn.Linear(6, 8, bias=False),
        nn.BatchNorm1d(8, affine=False),
        nn.ReLU(),
        nn.Linear(8, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, CLASSES),
    )


def conv_net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 2, padding=1, bias=False),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, CLASSES),
    )


def dropout_mlp():
    return nn.Sequential(
        nn.Linear(6, 16), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, CLASSES)
    )


def layer_norm_mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, CLASSES))


def frozen_start():
    network = mlp()
    network[0].requires_grad_(False)
    return network


NETWORKS = {
    "MLP": (mlp, "vector"),
    "BN-MLP": (batch_norm_mlp, "vector"),
    "ConvNet 2D": (conv_net, "image"),
    "dropout": (dropout_mlp, "vector"),
    "layer norm": (layer_norm_mlp, "vector"),
    "attention": (AttentionNetwork, "tokens"),
    "tied weights": (TiedNetwork, "vector"),
    "frozen layer": (frozen_start, "vector"),
    "assigned buffer": (MovingAverage, "vector"),
}


# Networks that torch.func.vmap cannot do


class Branching(nn.Module):
    """Goes one way or the other by what it computes."""

    def __init__(self):
        super().__init__()
        self.network = batch_norm_mlp()

    def forward(self, x):
        h = self.network(x)
        return h if h.mean() > 0 else 0.5 * h


class Measuring(nn.Module):
    """Takes a number out of a tensor."""

    def __init__(self):
        super().__init__()
        self.network = dropout_mlp()

    def forward(self, x):
        h = self.network(x)
        return h / (1 + h.detach().abs().max().item())


def spectral_mlp():
    network = mlp()
    nn.utils.parametrizations.spectral_norm(network[0])
    return network


def cumulative_batch_norm():
    return nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8, momentum=None), nn.Linear(8, CLASSES)
    )


UNFUSABLE = {
    "branch on an activation": Branching,
    "item()": Measuring,
    "spectral norm": spectral_mlp,
    "batch norm without momentum": cumulative_batch_norm,
}


@dataclass(frozen=True)
class Trained:
    """What train_chunk gave, with the parameters and buffers that it ended with."""

    outcome: Outcome
    theta: torch.Tensor  # [K, P]
    buffers: dict[str, torch.Tensor]  # [K, …]


@pytest.fixture
def train(monkeypatch):
    """train_chunk on a task, keeping the ensemble that it forgets."""

    def run(task, panel, cells=CELLS, *, seed=1, batch_size=BATCH, options=DOUBLE, **more):
        ensembles = []

        class Kept(Ensemble):
            def __init__(self, *args):
                super().__init__(*args)
                ensembles.append(self)

        monkeypatch.setattr(fused, "Ensemble", Kept)
        data = task.data().to(more.get("device", "cpu"), getattr(torch, options.precision))
        settings = {"seed": seed, "batch_size": batch_size, "options": options}
        outcome = train_chunk(task, data, panel, cells, **settings, **more)
        (ensemble,) = ensembles
        return Trained(outcome, ensemble.theta, ensemble.buffers)

    return run


def assert_equals_plain_loop(trained, task, panel, cells=CELLS, *, options=DOUBLE, **more):
    """Parameters and buffers to 1e-12, curves (stored as float32) to their rounding."""
    data = task.data().to("cpu", torch.float64)
    for k, cell in enumerate(cells):
        plain = plain_training(
            task, data, panel, cell, seed=1, batch_size=BATCH, options=options, **more
        )
        torch.testing.assert_close(trained.theta[k], plain.theta, rtol=0, atol=1e-12)
        for name, buffer in plain.network.named_buffers():
            torch.testing.assert_close(trained.buffers[name][k], buffer, rtol=0, atol=1e-12)
        for metric in METRICS:
            np.testing.assert_allclose(
                trained.outcome.curves[metric][k], plain.curves[metric], rtol=1e-7, atol=1e-12
            )


def assert_same_outcome(a, b):
    """Equal to the bit, NaN included."""
    for metric in METRICS:
        np.testing.assert_array_equal(a.curves[metric], b.curves[metric])
    np.testing.assert_array_equal(a.diverged_epoch, b.diverged_epoch)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
@pytest.mark.parametrize("pair", ["sgd", "adamw"])
@pytest.mark.parametrize(("network", "kind"), NETWORKS.values(), ids=NETWORKS)
def test_a_chunk_equals_plain_loops(network, kind, pair, fuse, make_task, make_panel, train):
    task, panel = make_task(network, kind), make_panel(pair)
    assert why_not_fused(task, task.data()) is None
    trained = train(task, panel, fuse=fuse)
    assert trained.theta.dtype == torch.float64
    assert_equals_plain_loop(trained, task, panel)


@pytest.mark.parametrize("schedule", ["step", {"kind": "restarts", "t_0": 1, "t_mult": 2}])
@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_in_a_chunk_equals_plain_loops(pair, schedule, make_task, make_panel, train):
    task, panel = make_task(batch_norm_mlp), make_panel(pair, schedule)
    assert_equals_plain_loop(train(task, panel), task, panel)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_embedded_network_equals_plain_loops(pair, make_task, make_panel, train):
    """With a larger ε: batch norm cancels the biases before it, so their gradients are rounding
    errors, which Adam's division by √v̂ + 1e-8 would blow up to 1e-9 in any implementation.
    """
    task, panel = make_task(partial(bn_mlp, (6, 8, 8, CLASSES))), make_panel(pair)
    options = Options(precision="float64", eps=1e-3)
    assert_equals_plain_loop(train(task, panel, options=options), task, panel, options=options)


@pytest.mark.parametrize("pair", PAIRS)
def test_decay_leaves_biases_and_norms_alone_where_asked(pair, make_task, make_panel, train):
    task, panel = make_task(conv_net, "image"), make_panel(pair)
    options = Options(precision="float64", decay_1d=False)
    assert_equals_plain_loop(train(task, panel, options=options), task, panel, options=options)


@pytest.mark.parametrize("network", UNFUSABLE.values(), ids=UNFUSABLE)
def test_what_vmap_cannot_do_is_trained_one_by_one(network, make_task, make_panel, train):
    task, panel = make_task(network), make_panel("adamw")
    reason = why_not_fused(task, task.data())
    assert reason is not None
    assert reason.startswith("RuntimeError: ")
    assert "\n" not in reason
    assert_equals_plain_loop(train(task, panel, fuse=False), task, panel)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_networks_are_trained_by_whatever_path_they_allow(
    kind, make_task, make_panel, train
):
    """With torch 2.13 their gradients fuse and their evaluation does not: one by one."""
    task, panel = make_task(partial(RecurrentNetwork, kind), "tokens"), make_panel("adamw")
    fuse = why_not_fused(task, task.data()) is None
    assert_equals_plain_loop(train(task, panel, fuse=fuse), task, panel)


def test_the_reason_for_training_one_by_one_is_what_torch_said(make_task):
    task = make_task(Measuring)
    assert "item()" in str(why_not_fused(task, task.data()))


def test_a_loss_that_vmap_cannot_do_is_a_reason_too(make_task, make_panel, train):
    def loss(outputs, targets):
        weight = 1.0 if outputs.mean().item() > 0 else 0.5
        return weight * nn.functional.cross_entropy(outputs, targets)

    task, panel = make_task(mlp, loss=loss), make_panel("sgdw")
    assert why_not_fused(task, task.data()) is not None
    assert_equals_plain_loop(train(task, panel, fuse=False), task, panel)


def test_frozen_parameters_stay_where_they_are(make_task, make_panel, train):
    trained = train(make_task(frozen_start), make_panel("sgdw"))
    torch.manual_seed(1)
    start = frozen_start()
    torch.testing.assert_close(trained.buffers["0.weight"][1], start[0].weight.double())
    assert trained.theta.shape[1] == 8 * CLASSES + CLASSES


# Random numbers


def noise(inputs, generator):
    return inputs + 0.3 * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)


def test_augmentation_draws_from_its_own_generator(make_task, make_panel, train):
    task, panel = make_task(dropout_mlp, augment=noise), make_panel("sgd")
    trained = train(task, panel)
    assert_equals_plain_loop(trained, task, panel)
    plain = train(make_task(dropout_mlp), panel)
    assert not torch.equal(trained.theta, plain.theta)


def test_every_epoch_sees_every_example_once_the_last_partial_batch_too(
    make_task, make_panel, train
):
    seen = []

    def note(inputs, generator):
        seen.append(inputs.clone())
        return inputs

    task = make_task(mlp, augment=note)
    train(task, make_panel("sgd", epochs=2))
    assert [len(inputs) for inputs in seen] == [5, 5, 5, 5, 3] * 2
    everything = task.data().train_inputs.double().sort(dim=0).values
    first, second = torch.cat(seen[:5]), torch.cat(seen[5:])
    assert torch.equal(first.sort(dim=0).values, everything)
    assert torch.equal(second.sort(dim=0).values, everything)
    assert not torch.equal(first, second)  # shuffled anew


def test_a_batch_larger_than_the_data_is_all_of_it(make_task, make_panel, train):
    steps = []
    train(make_task(mlp), make_panel("sgd"), batch_size=1000, on_step=lambda: steps.append(1))
    assert len(steps) == 3 * (1 + 1)  # per epoch one step and one test batch


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
def test_the_same_call_gives_the_same_bits_and_leaves_the_callers_random_state_alone(
    fuse, make_task, make_panel, train
):
    task, panel = make_task(dropout_mlp, augment=noise), make_panel("adamw")
    outcomes = []
    for state in (11, 12):
        torch.manual_seed(state)
        np.random.seed(state)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        outcomes.append(train(task, panel, options=Options(), fuse=fuse))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
    assert_same_outcome(outcomes[0].outcome, outcomes[1].outcome)
    assert torch.equal(outcomes[0].theta, outcomes[1].theta)


def test_trying_whether_a_task_fuses_leaves_the_callers_random_state_alone(make_task):
    task = make_task(dropout_mlp)
    before = torch.get_rng_state()
    why_not_fused(task, task.data())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interruption_goes_through_and_leaves_the_random_state_alone(
    make_task, make_panel, train
):
    calls = []

    def on_step():
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(make_task(dropout_mlp), make_panel("sgd"), on_step=on_step)
    assert len(calls) == 7
    assert torch.equal(torch.get_rng_state(), before)


def test_on_step_is_called_before_each_step_and_test_batch(make_task, make_panel, train):
    steps = []
    train(make_task(mlp), make_panel("sgd", epochs=4), on_step=lambda: steps.append(1))
    assert len(steps) == 4 * (math.ceil(TRAIN / BATCH) + 1)


def test_seeds_differ_in_weights_and_batches(make_task, make_panel, train):
    task, panel = make_task(mlp), make_panel("sgd", epochs=1)
    orders = [torch.randperm(TRAIN, generator=stream(seed, 0)) for seed in (0, 1)]
    assert not torch.equal(*orders)
    frozen = [Cell(1e-30, 0.0)]
    starts = [train(task, panel, frozen, seed=seed).theta for seed in (0, 1)]
    assert not torch.allclose(*starts)


def test_batches_and_augmentation_are_independent_streams():
    assert stream(3, 0).initial_seed() != stream(3, 1).initial_seed()


# Chunks


@pytest.mark.parametrize("pair", ["sgd", "adamw"])
def test_in_float32_a_cell_hardly_depends_on_its_chunk(pair, make_task, make_panel, train):
    """After 15 steps to 1e-5: only the order of summation may differ."""
    task, panel, options = make_task(conv_net, "image"), make_panel(pair), Options()
    together = train(task, panel, options=options)
    assert together.theta.dtype == torch.float32
    turned = train(task, panel, CELLS[::-1], options=options)
    torch.testing.assert_close(together.theta, turned.theta.flip(0), rtol=0, atol=1e-5)
    for k, cell in enumerate(CELLS):
        alone = train(task, panel, [cell], options=options)
        torch.testing.assert_close(together.theta[k], alone.theta[0], rtol=0, atol=1e-5)


def test_float32_and_float64_agree_to_float32(make_task, make_panel, train):
    task, panel = make_task(mlp), make_panel("adam")
    single, double = train(task, panel, options=Options()), train(task, panel)
    torch.testing.assert_close(single.theta.double(), double.theta, rtol=0, atol=1e-5)
    assert not torch.equal(single.theta.double(), double.theta)


def test_the_outcome_has_a_value_for_every_cell_metric_and_epoch(make_task, make_panel, train):
    outcome = train(make_task(mlp), make_panel("sgd", epochs=4)).outcome
    assert {m: (c.shape, c.dtype) for m, c in outcome.curves.items()} == dict.fromkeys(
        METRICS, ((len(CELLS), 4), np.dtype(np.float32))
    )
    assert outcome.diverged_epoch.tolist() == [0, 0, 0, 0]
    assert outcome.seconds > 0
    np.testing.assert_array_equal(outcome.final("test_error"), outcome.curves["test_error"][:, 3])


def test_evaluation_in_slices_is_the_mean_over_all_examples(
    make_task, make_panel, train, monkeypatch
):
    task, panel = make_task(batch_norm_mlp), make_panel("sgd")
    whole = train(task, panel).outcome
    monkeypatch.setattr(fused, "EVALUATION_SLICE", 3 * len(CELLS))  # 17 examples by threes
    sliced = train(task, panel).outcome
    np.testing.assert_array_equal(whole.curves["test_error"], sliced.curves["test_error"])
    np.testing.assert_allclose(whole.curves["test_loss"], sliced.curves["test_loss"], rtol=1e-6)


def test_without_a_budget_nothing_is_trained(make_task, make_panel, train):
    with pytest.raises(ValueError, match="panel 'sgd' has no epochs: resolve the study first"):
        train(make_task(mlp), make_panel("sgd", epochs=None))


# Normalized weight decay


@pytest.mark.parametrize("pair", ["sgd", "sgdw", "adamw", "adamw-torch"])
def test_normalized_lambda_is_lambda_scaled_by_hand(pair, make_task, make_panel, train):
    task, epochs = make_task(batch_norm_mlp), 3
    by_hand = math.sqrt(BATCH / (TRAIN * epochs))
    scaled = [Cell(cell.alpha, cell.lambda_ * by_hand) for cell in CELLS]
    normalized = train(task, make_panel(pair, normalized=True))
    raw = train(task, make_panel(pair), scaled)
    torch.testing.assert_close(normalized.theta, raw.theta, rtol=0, atol=1e-12)
    unscaled = train(task, make_panel(pair))
    assert torch.equal(normalized.theta[0], unscaled.theta[0])  # λ = 0
    assert not torch.allclose(normalized.theta[1], unscaled.theta[1])


@pytest.mark.parametrize("pair", ["sgd", "adamw"])
def test_normalized_lambda_follows_the_cycle_under_warm_restarts(
    pair, make_task, make_panel, train
):
    task = make_task(batch_norm_mlp)
    panel = make_panel(pair, {"kind": "restarts", "t_0": 1, "t_mult": 2}, normalized=True)

    def by_hand(t):
        return math.sqrt(BATCH / (TRAIN * (1 if t < 1 else 2)))  # cycles of 1 and of 2 epochs

    assert_equals_plain_loop(train(task, panel), task, panel, lambda_scale=by_hand)


# Divergence


@pytest.mark.parametrize("pair", PAIRS)
def test_a_diverged_cell_is_recorded_as_such(pair, make_task, make_panel, train):
    task, panel = make_task(mlp), make_panel(pair, "constant", epochs=4)
    outcome = train(task, panel, [CELLS[1], Cell(1e200, 0.1)]).outcome
    assert outcome.diverged_epoch.tolist() == [0, 1]
    assert np.isnan(outcome.curves["train_loss"][1]).all()
    assert np.isnan(outcome.curves["test_loss"][1]).all()
    chance = np.float32(100 * (1 - 1 / CLASSES))
    assert outcome.curves["test_error"][1].tolist() == [chance] * 4
    assert all(np.isfinite(outcome.curves[metric][0]).all() for metric in METRICS)


def test_a_cell_that_diverges_later_keeps_its_curves_up_to_then(make_task, make_panel, train):
    """λ = 3 under plain SGD triples the weights with each step, and alternates their sign."""
    task, panel = make_task(mlp), make_panel("sgdw", "constant", epochs=40)
    outcome = train(task, panel, [Cell(1e-3, 4.0)], options=Options()).outcome
    epoch = int(outcome.diverged_epoch[0])
    assert 5 < epoch < 40
    for metric in ("train_loss", "test_loss"):
        assert np.isfinite(outcome.curves[metric][0, : epoch - 1]).all()
        assert np.isnan(outcome.curves[metric][0, epoch - 1 :]).all()


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
@pytest.mark.parametrize(("network", "kind"), [(conv_net, "image"), (dropout_mlp, "vector")])
@pytest.mark.parametrize("pair", ["sgd", "adamw"])
def test_a_diverged_neighbour_changes_no_bit_of_the_others(
    pair, network, kind, fuse, make_task, make_panel, train
):
    task, panel, options = make_task(network, kind), make_panel(pair), Options()
    calm = train(task, panel, CELLS, options=options, fuse=fuse)
    wild = [CELLS[0], Cell(1e38, 0.1), *CELLS[2:]]
    beside = train(task, panel, wild, options=options, fuse=fuse)
    assert beside.outcome.diverged_epoch.tolist() == [0, 1, 0, 0]
    others = [0, 2, 3]
    assert torch.equal(calm.theta[others], beside.theta[others])
    for metric in METRICS:
        np.testing.assert_array_equal(
            calm.outcome.curves[metric][others], beside.outcome.curves[metric][others]
        )


def test_a_diverged_cell_never_recovers_in_the_record(make_task, make_panel, train):
    """An infinite loss without a gradient: decay brings the weights back, not the record."""

    def loss(outputs, targets):
        too_large = torch.where(outputs.detach().abs().amax() > 2, torch.inf, 0.0)
        return nn.functional.cross_entropy(outputs, targets) + too_large

    def large():
        network = mlp()
        nn.init.normal_(network[2].weight, std=5)
        return network

    panel = make_panel("sgdw", "constant", epochs=5)
    trained = train(make_task(large, loss=loss), panel, [Cell(1e-3, 0.5), Cell(1e-3, 0.0)])
    assert trained.theta.isfinite().all()
    assert trained.theta[0].abs().max() < 0.1 < trained.theta[1].abs().max()
    assert trained.outcome.diverged_epoch.tolist() == [1, 1]
    assert np.isnan(trained.outcome.curves["train_loss"]).all()
    assert set(trained.outcome.curves["test_error"].ravel()) == {np.float32(200 / 3)}


@pytest.mark.gpu
@pytest.mark.parametrize("pair", ["sgd", "adamw"])
@pytest.mark.parametrize("network", [mlp, batch_norm_mlp])
def test_a_chunk_on_the_gpu_gives_what_it_gives_on_the_cpu(
    pair, network, make_task, make_panel, train
):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task, panel = make_task(network), make_panel(pair)
    on_cpu, on_gpu = train(task, panel), train(task, panel, device="cuda")
    assert on_gpu.theta.device.type == "cuda"
    torch.testing.assert_close(on_gpu.theta.cpu(), on_cpu.theta, rtol=0, atol=1e-9)
    for metric in METRICS:
        np.testing.assert_allclose(
            on_gpu.outcome.curves[metric], on_cpu.outcome.curves[metric], rtol=1e-6
        )


@pytest.mark.gpu
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
def test_on_the_gpu_the_callers_random_state_is_left_alone(fuse, make_task, make_panel, train):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task, panel = make_task(dropout_mlp), make_panel("sgd")
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    first, second = (train(task, panel, device="cuda", fuse=fuse) for _ in range(2))
    assert torch.equal(first.theta, second.theta)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])
