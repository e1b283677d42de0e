"""The paper's network: its size, its gradient by hand, its shortcut pixel by pixel.

Letters: K cells, B images, C channels, H and W pixels.
"""

import math

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.networks.shake_shake import (
    Block,
    ShakeShake,
    Shortcut,
    shake_shake_26,
)
from landscape_study.study.training.engines import ENGINES, Assignment
from tests.study.chunks import DOUBLE, assert_equals_plain_loop
from tests.study.networks import shake_shake_net
from tests.study.references import plain_training

pytestmark = pytest.mark.slow

IMAGES = (5, 3, 4, 4)  # [B, C, H, W]


class ByHand(Block):
    """A block in plain tensors: the value mixed by a, a gradient that was mixed by b."""

    def forward(self, inputs):
        x, y = self.first(inputs), self.second(inputs)
        if not self.training:
            return self.skip(inputs) + (x + y) / 2
        a, b = (torch.rand(len(x), 1, 1, 1, dtype=x.dtype) for _ in range(2))
        forwards, backwards = (w * x + (1 - w) * y for w in (a, b))
        return self.skip(inputs) + backwards + (forwards - backwards).detach()


def network_by_hand():
    network = shake_shake_net()
    for layer in network:
        if isinstance(layer, Block):
            layer.__class__ = ByHand
    return network


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def weights():
    return torch.rand(2, IMAGES[0], 1, 1, 1, dtype=torch.float64)


# The whole network


@pytest.mark.parametrize(
    ("width", "parameters"), [(32, 2_923_162), (64, 11_653_978), (96, 26_192_922)]
)
def test_as_many_parameters_as_the_design_says(width, parameters):
    with torch.device("meta"):  # shapes alone, no memory
        network = shake_shake_26(width, 10)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_26_layers_deep_and_smaller_stage_by_stage():
    network = shake_shake_26(4, 7).eval()
    inputs, shapes = torch.randn(2, 3, 32, 32), []
    for layer in network:
        inputs = layer(inputs)
        shapes.append(tuple(inputs.shape[1:]))
    blocks = [shape for layer, shape in zip(network, shapes, strict=True) if type(layer) is Block]
    assert blocks == [(4, 32, 32)] * 4 + [(8, 16, 16)] * 4 + [(16, 8, 8)] * 4
    assert shapes[0] == (16, 32, 32)
    assert shapes[-1] == (7,)
    deep = [
        m for name, m in network.named_modules() if "second" not in name and "skip" not in name
    ]
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in deep) == 26
    assert all(m.bias is None for m in network.modules() if isinstance(m, nn.Conv2d))


def test_convolutions_start_with_variance_2_by_kernel_size_times_outputs():
    torch.manual_seed(0)
    convolutions = [m for m in shake_shake_26(32, 10).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 1 + 12 * 4 + 3 * 2
    for module in convolutions:
        variance = 2 / (math.prod(module.kernel_size) * module.out_channels)
        weight, spread = module.weight, 5 / math.sqrt(module.weight.numel())
        assert weight.var().item() == pytest.approx(variance, rel=math.sqrt(2) * spread)
        assert abs(weight.mean().item()) < spread * math.sqrt(variance)


def test_the_task_decides_the_outputs_and_seeds_the_weights():
    def first(seed):
        torch.manual_seed(seed)
        return shake_shake_26(2, 100)[0].weight

    assert shake_shake_26(2, 100)[-1].out_features == 100
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def image_data():
    """Bytes, as image tasks store them: 8 to train on, 4 to test on."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(256, (12, 3, 32, 32), generator=generator, dtype=torch.uint8)
    targets = torch.arange(12) % 10
    return Data(inputs[:8], targets[:8], inputs[8:], targets[8:])


@pytest.mark.long
@pytest.mark.arithmetic
def test_one_step_of_the_real_network_on_a_batch_of_8(make_task, make_panel, train):
    """Against torch.optim.AdamW, to float32, with an ε beside which the rounding of a gradient is
    little: with a small one Adam's first step is ±α, and rounding decides the sign of some.
    """
    task = make_task(
        lambda: shake_shake_26(64, 10),
        data=image_data,
        classes=10,
        batch_size=8,
        normalize=lambda inputs: (inputs.float() - 127.5) / 74,
    )
    panel, cell = make_panel("adamw", "constant", epochs=1), Cell(1e-4, 0.01)
    options = Options(eps=1e-3)
    trained = train(task, panel, [cell], batch_size=8, options=options)
    plain = plain_training(task, image_data(), panel, cell, seed=1, batch_size=8, options=options)
    assert trained.theta.shape == (1, 11_653_978)
    torch.testing.assert_close(trained.theta[0], plain.theta, rtol=0, atol=1e-6)
    (loss,) = trained.outcome.curves["train_loss"][0]
    assert loss == pytest.approx(plain.curves["train_loss"][0], rel=1e-4)
    assert 1 < loss < 10  # ln 10 ≈ 2.3 for a network that guesses
    assert trained.outcome.diverged_epoch.tolist() == [0]


# Shake-Shake


def test_alone_it_goes_forward_by_a_and_back_by_b():
    x, y = (doubles(*IMAGES).requires_grad_() for _ in range(2))
    (a, b), upstream = weights(), doubles(*IMAGES)
    mixed = ShakeShake.apply(x, y, a, b)
    torch.testing.assert_close(mixed, a * x + (1 - a) * y, rtol=0, atol=1e-15)
    mixed.backward(upstream)
    torch.testing.assert_close(x.grad, b * upstream, rtol=0, atol=1e-15)
    torch.testing.assert_close(y.grad, (1 - b) * upstream, rtol=0, atol=1e-15)


@pytest.mark.arithmetic
@pytest.mark.parametrize("shared", [True, False], ids=["weights shared", "weights of each cell"])
def test_under_vmap_and_grad_it_does_the_same_for_each_cell(shared):
    x, y, upstream = doubles(3, *IMAGES), doubles(3, *IMAGES), doubles(*IMAGES)
    a, b = weights() if shared else torch.stack([weights() for _ in range(3)], dim=1)

    def loss(x, y, a, b):
        return (ShakeShake.apply(x, y, a, b).sin() * upstream).sum()

    dims = (0, 0, None, None) if shared else (0, 0, 0, 0)
    found_x, found_y = vmap(grad(loss, argnums=(0, 1)), in_dims=dims)(x, y, a, b)
    gradient = (a * x + (1 - a) * y).cos() * upstream
    torch.testing.assert_close(found_x, b * gradient, rtol=0, atol=1e-14)
    torch.testing.assert_close(found_y, (1 - b) * gradient, rtol=0, atol=1e-14)


@pytest.mark.some(3)
@pytest.mark.arithmetic
@pytest.mark.parametrize(
    "engine", [pytest.param("captured", marks=pytest.mark.long), "vmap", "referee"]
)
@pytest.mark.parametrize("pair", ["sgd", "sgdw", "adam", "adamw"])
def test_a_chunk_equals_loops_over_a_network_in_plain_tensors(
    pair, engine, make_task, make_panel, train
):
    """To 1e-12 after 15 steps, so that either draws the same random numbers in the same order."""
    panel = make_panel(pair)
    trained = train(make_task(shake_shake_net, "image"), panel, engine=engine)
    assert_equals_plain_loop(trained, make_task(network_by_hand, "image"), panel)


@pytest.mark.long
@pytest.mark.arithmetic
def test_all_engines_draw_the_same_random_numbers_and_as_many(make_task):
    """Also over batches of other sizes, and with evaluation in between."""
    task = make_task(shake_shake_net, "image")
    data, found = task.data().to("cpu", torch.float64), []
    for name in ("captured", "vmap", "referee"):
        torch.manual_seed(5)
        engine = ENGINES[name](Assignment(task, "sgd", [Cell(0.05, 0.1)], DOUBLE))
        for size in (5, 3, 5):
            engine.train(True)
            inputs, targets = data.train_inputs[:size], data.train_targets[:size]
            losses = engine.step(inputs, targets, 1.0, 1.0)
            engine.train(False)
            with torch.no_grad():
                scores = engine.scores(data.test_inputs, data.test_targets)
            moved = [p.clone() for p in engine.parameters().values()]
            found.append((losses, *moved, *scores.values(), torch.rand(1)))
    for alone, *others in zip(found[6:], found[:3], found[3:6], strict=True):
        for together in others:
            for one, other in zip(together, alone, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert not torch.equal(found[0][0], found[2][0])  # drawn anew for each batch


def measured_weights(images):
    """Of a training block whose branches are x ↦ x and x ↦ 0·x: a and b, [B]."""
    block = Block(2, 2, 1, shake=True)
    block.first, block.second = nn.Identity(), nn.Threshold(torch.inf, 0.0)
    inputs = torch.ones(images, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    outputs = block(inputs)  # (1 + a)·x
    outputs.sum().backward()  # 1 + b
    for mixed in (outputs, inputs.grad):
        assert (mixed == mixed[:, :1, :1, :1]).all()  # one weight for all of an image
    return (outputs.detach()[:, 0, 0, 0] - 1, inputs.grad[:, 0, 0, 0] - 1)


def test_each_image_has_weights_of_its_own_uniform_and_independent_both_ways():
    torch.manual_seed(0)
    images = 4000
    a, b = measured_weights(images)
    for w in (a, b):
        assert len(w.unique()) == images
        assert 0 <= w.min() < 0.01
        assert 0.99 < w.max() <= 1
        assert w.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / images) ** 0.5)
        assert w.var().item() == pytest.approx(1 / 12, rel=0.05)
    correlation = torch.corrcoef(torch.stack([a, b]))[0, 1]
    assert abs(correlation) < 4 / images**0.5


@pytest.mark.parametrize(("training", "shake"), [(False, True), (True, False), (False, False)])
def test_tested_or_not_shaken_it_mixes_evenly_and_draws_nothing(training, shake):
    block = Block(4, 6, 2, shake=shake).double().train(training)
    inputs, before = doubles(3, 4, 8, 8), torch.get_rng_state()
    inputs.requires_grad_()
    found = block(inputs)
    assert torch.equal(torch.get_rng_state(), before)
    halves = 0.5 * block.first(inputs) + 0.5 * block.second(inputs)
    expected = block.skip(inputs) + halves
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    gradients = [torch.autograd.grad(o.sum(), inputs)[0] for o in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-13)


def test_the_whole_network_is_shaken_where_asked():
    inputs = torch.randn(2, 3, 32, 32)
    for shake in (True, False):
        network = shake_shake_26(2, 10, shake=shake)
        first, second = network(inputs), network(inputs)
        assert torch.equal(first, second) is not shake
        network.eval()
        assert torch.equal(network(inputs), network(inputs))


# The shortcut


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pixels", [(6, 8), (5, 3)])
def test_the_shortcut_pixel_by_pixel(pixels, stride):
    """Path 1 sees the pixel at the stride's multiples, path 2 the one up and left of it."""
    high, wide = pixels
    shortcut = Shortcut(3, 4, stride).double().eval()
    nn.init.normal_(shortcut.norm.running_mean)
    inputs = doubles(2, 3, high, wide)
    positive = inputs.clamp(min=0)
    rows, columns = range(0, high, stride), range(0, wide, stride)
    expected = torch.zeros(2, 4, len(rows), len(columns), dtype=torch.float64)
    for i, h in enumerate(rows):
        for j, w in enumerate(columns):
            moved = positive[:, :, h - 1, w - 1] if h > 0 and w > 0 else torch.zeros(2, 3).double()
            halves = (
                positive[:, :, h, w] @ shortcut.straight.weight[:, :, 0, 0].T,
                moved @ shortcut.shifted.weight[:, :, 0, 0].T,
            )
            expected[:, :, i, j] = torch.cat(halves, dim=1)
    mean = shortcut.norm.running_mean.view(1, 4, 1, 1)
    expected = (expected - mean) / math.sqrt(1 + shortcut.norm.eps)
    torch.testing.assert_close(shortcut(inputs), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("inputs", "outputs", "skip"), [(4, 4, nn.Identity), (4, 8, Shortcut)])
def test_only_between_widths_the_skip_is_more_than_the_identity(inputs, outputs, skip):
    assert type(Block(inputs, outputs, 1, shake=True).skip) is skip
