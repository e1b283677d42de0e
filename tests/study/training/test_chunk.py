"""Chunks trained together against plain loops with torch.optim, one network at a time.

Letters: K cells, P parameters, E epochs.
"""

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given as hypothetically
from hypothesis import strategies as st
from torch import nn

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.examples import even_slices
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.mlp import bn_mlp
from landscape_study.study.training import batches, recorder
from landscape_study.study.training.batches import slice_size
from tests.study.chunks import BATCH, CELLS, DOUBLE, assert_equals_plain_loop, assert_same_outcome
from tests.study.conftest import CLASSES, TEST, TRAIN, tiny_data
from tests.study.networks import (
    NETWORKS,
    WithUnusedLayer,
    batch_norm_mlp,
    conv_net,
    deep_mlp,
    dropout_mlp,
    flat_net,
    layer_norm_mlp,
    mlp,
    shake_shake_net,
)
from tests.study.references import CLASSIC, SOME, stream

pytestmark = pytest.mark.arithmetic

# Traced in a moment; the others, and what takes seconds to trace, take long.
SOON_TRACED = ("ConvNet 2D", "BN-MLP", "dropout", "tied weights", "assigned buffer")


def chunks():
    """Every network by every pair and engine."""
    for engine in ("captured", "vmap", "referee"):
        for pair in ("sgd", "adamw"):
            for name, row in NETWORKS.items():
                takes_long = engine == "captured" and (name not in SOON_TRACED or pair == "sgd")
                marks = [pytest.mark.long] if takes_long else []
                yield pytest.param(*row, pair, engine, id=f"{name}-{pair}-{engine}", marks=marks)


@pytest.mark.some(12)
@pytest.mark.parametrize(("network", "kind", "pair", "engine"), list(chunks()))
def test_a_chunk_equals_plain_loops(network, kind, pair, engine, make_task, make_panel, train):
    task, panel = make_task(network, kind), make_panel(pair)
    trained = train(task, panel, engine=engine)
    assert trained.theta.dtype == torch.float64
    assert_equals_plain_loop(trained, task, panel)


@pytest.mark.some(8)
@pytest.mark.parametrize("engine", ["vmap", "referee"])
@pytest.mark.parametrize("schedule", ["step", {"kind": "restarts", "t_0": 1, "t_mult": 2}])
@pytest.mark.parametrize("pair", CLASSIC)
def test_every_pair_in_a_chunk_equals_plain_loops(
    pair, schedule, engine, make_task, make_panel, train
):
    task, panel = make_task(batch_norm_mlp), make_panel(pair, schedule)
    assert_equals_plain_loop(train(task, panel, engine=engine), task, panel)


@pytest.mark.some(9)
@pytest.mark.parametrize("engine", ["vmap", "referee", "captured"])
@pytest.mark.parametrize("pair", [pair for pair in SOME if pair not in CLASSIC])
def test_every_rule_and_placement_equals_plain_loops(pair, engine, make_task, make_panel, train):
    """With a larger ε: what divides by a small √v makes rounding large, in the first steps."""
    task, panel = make_task(deep_mlp), make_panel(pair)
    options = Options(precision="float64", eps=1e-2)
    trained = train(task, panel, options=options, engine=engine)
    assert_equals_plain_loop(trained, task, panel, options=options)


@pytest.mark.parametrize("pair", CLASSIC)
def test_the_embedded_network_equals_plain_loops(pair, make_task, make_panel, train):
    """With a larger ε: batch norm cancels the biases before it, so their gradients are rounding
    errors, which Adam's division by √v̂ + 1e-8 would blow up to 1e-9 in any implementation, and
    L2 regularization to 1e-2.
    """
    task, panel = make_task(partial(bn_mlp, (6, 8, 8, CLASSES))), make_panel(pair)
    options = Options(precision="float64", eps=1e-2)
    assert_equals_plain_loop(train(task, panel, options=options), task, panel, options=options)


@pytest.mark.parametrize("engine", ["vmap", "referee"])
@pytest.mark.parametrize("pair", CLASSIC)
def test_decay_leaves_biases_and_norms_alone_where_asked(
    pair, engine, make_task, make_panel, train
):
    task, panel = make_task(conv_net, "image"), make_panel(pair)
    options = Options(precision="float64", decay_1d=False)
    trained = train(task, panel, options=options, engine=engine)
    assert_equals_plain_loop(trained, task, panel, options=options)


HABITS = {
    "clipped": (batch_norm_mlp, {"clip_norm": 0.2}),
    "clipped where some have no gradient": (WithUnusedLayer, {"clip_norm": 0.2}),
    "no decay by name": (batch_norm_mlp, {"no_decay": ["*.bias", "1*"]}),
    "accumulated": (layer_norm_mlp, {"accumulate": 2}),  # of 5 examples 3 and 2, of 3 2 and 1
    "accumulated where some have no gradient": (WithUnusedLayer, {"accumulate": 4}),
    "all of them": (
        layer_norm_mlp,
        {"clip_norm": 0.2, "no_decay": ["0.*"], "accumulate": 3, "decay_1d": False},
    ),
}


def habits():
    """Every habit by two pairs and every engine; compiled, which takes long, all at once."""
    for habit in HABITS:
        for pair in ("sgd", "adamw-torch"):
            yield pytest.param(habit, pair, "vmap")
            yield pytest.param(habit, pair, "referee")
        yield pytest.param(habit, "adamw-torch", "captured", marks=pytest.mark.slow)
    yield pytest.param("all of them", "adamw-torch", "compiled", marks=pytest.mark.long)


@pytest.mark.some(8)
@pytest.mark.parametrize(("habit", "pair", "engine"), list(habits()))
def test_clipping_decay_groups_and_accumulation_equal_plain_loops(
    habit, pair, engine, make_task, make_panel, train
):
    network, wanted = HABITS[habit]
    task, panel = make_task(network), make_panel(pair, {"kind": "linear", "warmup": 0.4})
    options = Options(precision="float64", **wanted)
    trained = train(task, panel, options=options, engine=engine)
    assert_equals_plain_loop(trained, task, panel, options=options)


# Random numbers


def noise(inputs, generator):
    return inputs + 0.3 * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)


def test_augmentation_draws_from_its_own_generator(make_task, make_panel, train):
    task, panel = make_task(dropout_mlp, augment=noise), make_panel("sgd")
    trained = train(task, panel)
    assert_equals_plain_loop(trained, task, panel)
    plain = train(make_task(dropout_mlp), panel)
    assert not torch.equal(trained.theta, plain.theta)


def turned(inputs, generator):
    """By a quarter or not at all: the same shape with other strides."""
    turns = int(torch.randint(2, (), generator=generator))
    return torch.rot90(inputs, turns, (2, 3))


@pytest.mark.parametrize(
    "engine", ["captured", pytest.param("compiled", marks=pytest.mark.long), "vmap", "referee"]
)
def test_augmented_batches_may_lie_in_memory_as_they_like(engine, make_task, make_panel, train):
    network = flat_net if engine == "compiled" else conv_net  # which takes long to compile
    task, panel = make_task(network, "image", augment=turned), make_panel("sgd")
    assert_equals_plain_loop(train(task, panel, engine=engine), task, panel)


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


@pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
def test_the_same_call_gives_the_same_bits_and_leaves_the_callers_random_state_alone(
    engine, make_task, make_panel, train
):
    task, panel = make_task(dropout_mlp, augment=noise), make_panel("adamw")
    outcomes = []
    for state in (11, 12):
        torch.manual_seed(state)
        np.random.seed(state)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        outcomes.append(train(task, panel, options=Options(), engine=engine))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
    assert_same_outcome(outcomes[0].outcome, outcomes[1].outcome)
    assert torch.equal(outcomes[0].theta, outcomes[1].theta)


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
    single, double = train(task, panel, options=Options(eps=DOUBLE.eps)), train(task, panel)
    torch.testing.assert_close(single.theta.double(), double.theta, rtol=0, atol=1e-5)
    assert not torch.equal(single.theta.double(), double.theta)


def test_the_outcome_has_a_value_for_every_cell_metric_and_epoch(make_task, make_panel, train):
    outcome = train(make_task(mlp), make_panel("sgd", epochs=4)).outcome
    assert {m: (c.shape, c.dtype) for m, c in outcome.curves.items()} == dict.fromkeys(
        RECORDED, ((len(CELLS), 4), np.dtype(np.float32))
    )
    assert outcome.diverged_epoch.tolist() == [0, 0, 0, 0]
    assert outcome.seconds > 0
    np.testing.assert_array_equal(outcome.final("test_error"), outcome.curves["test_error"][:, 3])


def test_evaluation_in_slices_is_the_mean_over_all_examples(
    make_task, make_panel, train, monkeypatch
):
    task, panel = make_task(batch_norm_mlp), make_panel("sgd")
    whole = train(task, panel).outcome
    monkeypatch.setattr(batches, "TEST_SLICE", 3)  # 17 examples
    sliced = train(task, panel).outcome
    np.testing.assert_array_equal(whole.curves["test_error"], sliced.curves["test_error"])
    np.testing.assert_allclose(whole.curves["test_loss"], sliced.curves["test_loss"], rtol=1e-6)


def test_without_a_budget_nothing_is_trained(make_task, make_panel, train):
    with pytest.raises(ValueError, match="panel 'sgd' has no epochs: resolve the study first"):
        train(make_task(mlp), make_panel("sgd", epochs=None))


# Stored as bytes, normalized batch by batch


def byte_data():
    data = tiny_data("image")
    inputs = [(50 * x + 120).clamp(0, 255).byte() for x in (data.train_inputs, data.test_inputs)]
    return Data(inputs[0], data.train_targets, inputs[1], data.test_targets)


def from_bytes(inputs):
    return (inputs.double() - 120) / 50


def normalized_data():
    data = byte_data()
    inputs = from_bytes(data.train_inputs), from_bytes(data.test_inputs)
    return Data(inputs[0], data.train_targets, inputs[1], data.test_targets)


@pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
def test_normalizing_batches_is_normalizing_the_data(engine, make_task, make_panel, train):
    stored = make_task(conv_net, data=byte_data, normalize=from_bytes, augment=noise)
    whole, panel = make_task(conv_net, data=normalized_data, augment=noise), make_panel("adamw")
    trained = train(stored, panel, engine=engine)
    assert_equals_plain_loop(trained, whole, panel)
    assert_equals_plain_loop(trained, stored, panel)


def test_bytes_stay_bytes_until_a_batch_is_taken(make_task, make_panel, train):
    seen, augmented = [], []

    def normalize(inputs):
        seen.append((inputs.dtype, len(inputs)))
        return from_bytes(inputs).float()

    def augment(inputs, generator):
        augmented.append((inputs.dtype, inputs.min() < 0))
        return inputs

    assert byte_data().to("cpu", torch.float64).train_inputs.dtype == torch.uint8
    task = make_task(conv_net, data=byte_data, normalize=normalize, augment=augment)
    train(task, make_panel("sgd", epochs=1))
    batches = [5, 5, 5, 5, 3]
    assert seen == [(torch.uint8, size) for size in (*batches, TEST)]
    assert augmented == [(torch.float64, True)] * len(batches)  # in the study's precision


def test_training_leaves_the_data_as_they_are(make_task, make_panel, train):
    data = tiny_data("vector").to("cpu", torch.float64)
    task = make_task(mlp, data=lambda: data, augment=lambda inputs, generator: inputs.mul_(0))
    train(task, make_panel("sgd", epochs=1))
    assert torch.equal(data.train_inputs, tiny_data("vector").train_inputs.double())


# What is tested at once


@pytest.mark.parametrize(
    ("examples", "batch_size", "sizes"),
    [
        (1000, 128, {167: 5, 165: 1}),
        (1297, 50, {186: 6, 181: 1}),
        (10_000, 128, {189: 52, 172: 1}),
        (192, 128, {192: 1}),
        (193, 128, {97: 1, 96: 1}),
        (13, 1, {4: 2, 5: 1}),  # not 4, 4, 4, 1
        (17, 2, {6: 2, 5: 1}),
        (1, 100, {1: 1}),
    ],
)
def test_slices_are_of_nearly_one_size_whatever_the_chunk(examples, batch_size, sizes):
    found = [part.stop - part.start for part in even_slices(examples, slice_size(batch_size))]
    assert Counter(found) == sizes


@hypothetically(st.integers(1, 3000), st.integers(1, 300))
def test_slices_hold_every_test_example_once_and_none_alone(examples, batch_size):
    slices = even_slices(examples, slice_size(batch_size))
    assert [i for part in slices for i in range(examples)[part]] == list(range(examples))
    sizes = [part.stop - part.start for part in slices]
    assert max(sizes) <= 1.5 * min(batches.TEST_SLICE, batches.TEST_BATCHES * batch_size)
    assert min(sizes) >= max(sizes) / 2 - 1
    assert min(sizes) > 1 or examples == 1 or max(sizes) <= 2


def test_small_batches_are_tested_a_few_at_once(make_task, make_panel, train):
    tested = []

    def normalize(inputs):
        tested.append(len(inputs))
        return inputs

    train(make_task(mlp, normalize=normalize), make_panel("sgd", epochs=1), batch_size=2)
    assert tested[-3:] == [6, 6, 5]  # 17 examples, at most four batches of 2 at once


# The end of a cycle


def test_restarts_count_at_the_end_of_the_last_whole_cycle(make_task, make_panel, train):
    panel = make_panel("sgdw", {"kind": "restarts", "t_0": 1, "t_mult": 2}, epochs=5)
    outcome = train(make_task(mlp), panel).outcome
    assert outcome.solution == 3
    assert all(curve.shape == (len(CELLS), 5) for curve in outcome.curves.values())
    for metric in RECORDED:
        np.testing.assert_array_equal(outcome.final(metric), outcome.curves[metric][:, 2])


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


@pytest.mark.some(4)
@pytest.mark.parametrize("epochs", [2, 3, 5])
@pytest.mark.parametrize("pair", ["sgd", "sgdw", "adam", "adamw"])
def test_normalized_lambda_follows_the_cycle_under_warm_restarts(
    pair, epochs, make_task, make_panel, train
):
    """SGDWR and AdamWR, also where the last cycle is cut off: its T is that of the whole cycle."""
    task, restarts = make_task(batch_norm_mlp), {"kind": "restarts", "t_0": 1, "t_mult": 2}
    panel = make_panel(pair, restarts, epochs=epochs, normalized=True)

    def by_hand(t):
        cycle = 1 if t < 1 else 2 if t < 3 else 4
        return math.sqrt(BATCH / (TRAIN * cycle))

    assert_equals_plain_loop(train(task, panel), task, panel, lambda_scale=by_hand)


# Divergence


@pytest.mark.parametrize("pair", CLASSIC)
def test_a_diverged_cell_is_recorded_as_such(pair, make_task, make_panel, train):
    task, panel = make_task(mlp), make_panel(pair, "constant", epochs=4)
    outcome = train(task, panel, [CELLS[1], Cell(1e200, 0.1)]).outcome
    assert outcome.diverged_epoch.tolist() == [0, 1]
    assert np.isnan(outcome.curves["train_loss"][1]).all()
    assert np.isnan(outcome.curves["test_loss"][1]).all()
    chance = np.float32(100 * (1 - 1 / CLASSES))
    assert outcome.curves["test_error"][1].tolist() == [chance] * 4
    assert all(np.isfinite(outcome.curves[metric][0]).all() for metric in RECORDED)


def test_a_cell_that_diverges_later_keeps_its_curves_up_to_then(make_task, make_panel, train):
    """λ = 3 under plain SGD triples the weights with each step, and alternates their sign."""
    task, panel = make_task(mlp), make_panel("sgdw", "constant", epochs=40)
    outcome = train(task, panel, [Cell(1e-3, 4.0)], options=Options()).outcome
    epoch = int(outcome.diverged_epoch[0])
    assert 5 < epoch < 40
    for metric in ("train_loss", "test_loss"):
        assert np.isfinite(outcome.curves[metric][0, : epoch - 1]).all()
        assert np.isnan(outcome.curves[metric][0, epoch - 1 :]).all()


@pytest.mark.long
@pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
@pytest.mark.parametrize(("network", "kind"), [(conv_net, "image"), (dropout_mlp, "vector")])
@pytest.mark.parametrize("pair", ["sgd", "adamw"])
def test_a_diverged_neighbour_changes_no_bit_of_the_others(
    pair, network, kind, engine, make_task, make_panel, train
):
    task, panel, options = make_task(network, kind), make_panel(pair), Options()
    calm = train(task, panel, CELLS, options=options, engine=engine)
    wild = [CELLS[0], Cell(1e38, 0.1), *CELLS[2:]]
    beside = train(task, panel, wild, options=options, engine=engine)
    assert beside.outcome.diverged_epoch.tolist() == [0, 1, 0, 0]
    others = [0, 2, 3]
    assert torch.equal(calm.theta[others], beside.theta[others])
    for metric in RECORDED:
        np.testing.assert_array_equal(
            calm.outcome.curves[metric][others], beside.outcome.curves[metric][others]
        )


def test_a_diverged_cell_never_recovers_in_the_record(make_task, make_panel, train, monkeypatch):
    """An infinite loss without a gradient: decay brings the weights back, not the record."""

    def loss(outputs, targets):
        too_large = torch.where(outputs.detach().abs().amax() > 2, torch.inf, 0.0)
        return nn.functional.cross_entropy(outputs, targets) + too_large

    def large():
        network = mlp()
        nn.init.normal_(network[2].weight, std=5)
        return network

    monkeypatch.setattr(recorder.Recorder, "all_diverged", lambda self: False)  # go on training
    panel = make_panel("sgdw", "constant", epochs=5)
    trained = train(make_task(large, loss=loss), panel, [Cell(1e-3, 0.5), Cell(1e-3, 0.0)])
    assert trained.theta.isfinite().all()
    assert trained.theta[0].abs().max() < 0.1 < trained.theta[1].abs().max()
    assert trained.outcome.diverged_epoch.tolist() == [1, 1]
    assert np.isnan(trained.outcome.curves["train_loss"]).all()
    assert set(trained.outcome.curves["test_error"].ravel()) == {np.float32(200 / 3)}


def test_a_chunk_whose_cells_have_all_diverged_is_trained_no_further(make_task, make_panel, train):
    panel, steps = make_panel("sgd", "constant", epochs=6), []
    wild = [Cell(1e200, 0.1), Cell(1e150, 0.0)]
    outcome = train(make_task(mlp), panel, wild, on_step=lambda: steps.append(1)).outcome
    assert outcome.diverged_epoch.tolist() == [1, 1]
    assert len(steps) == 5 + 1  # batches and tests of one epoch
    assert {curve.shape for curve in outcome.curves.values()} == {(2, 6)}
    assert np.isnan(outcome.curves["test_loss"]).all()
    assert set(outcome.curves["test_error"].ravel()) == {np.float32(200 / 3)}


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
    for metric in RECORDED:
        np.testing.assert_allclose(
            on_gpu.outcome.curves[metric], on_cpu.outcome.curves[metric], rtol=1e-6
        )


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
def test_on_the_gpu_the_callers_random_state_is_left_alone(engine, make_task, make_panel, train):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task, panel = make_task(dropout_mlp), make_panel("sgd")
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    first, second = (train(task, panel, device="cuda", engine=engine) for _ in range(2))
    assert torch.equal(first.theta, second.theta)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


@pytest.mark.gpu
def test_on_the_gpu_all_engines_shake_alike(make_task, make_panel, train):
    """The weights of Shake-Shake come from the GPU's generator there."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task, panel = make_task(shake_shake_net, "image"), make_panel("adamw")
    alone, *others = (
        train(task, panel, device="cuda", engine=engine)
        for engine in ("referee", "vmap", "captured")
    )
    for together in others:
        torch.testing.assert_close(together.theta, alone.theta, rtol=0, atol=1e-9)


@pytest.mark.gpu
def test_on_the_gpu_bytes_are_normalized_and_augmented_there(make_task, make_panel, train):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    devices = []

    def augment(inputs, generator):
        devices.append((inputs.device.type, generator.device.type))
        return inputs

    task = make_task(conv_net, data=byte_data, normalize=from_bytes, augment=augment)
    on_gpu = train(task, make_panel("sgd"), device="cuda")
    on_cpu = train(task, make_panel("sgd"))
    assert set(devices[: len(devices) // 2]) == {("cuda", "cpu")}
    torch.testing.assert_close(on_gpu.theta.cpu(), on_cpu.theta, rtol=0, atol=1e-9)
