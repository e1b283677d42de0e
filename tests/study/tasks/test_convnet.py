"""The small convolutional networks: layers, sizes, start weights."""

import math

import pytest
import torch
from torch import nn

from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.networks.convnet import LAYERS, GlobalAverage, bn_convnet


@pytest.mark.parametrize(
    ("dimensions", "size", "halved"),
    [(1, (40,), [(20,), (10,), (5,)]), (2, (14, 9), [(7, 5), (4, 3), (2, 2)])],
)
def test_each_layer_halves_the_size_and_the_mean_ends_it(dimensions, size, halved):
    network, shapes = bn_convnet(dimensions, (3, 4, 5, 6), 7).eval(), []
    inputs = torch.randn(2, 3, *size)
    for layer in network:
        inputs = layer(inputs)
        if isinstance(layer, nn.ReLU):
            assert inputs.min() >= 0
            shapes.append(tuple(inputs.shape[1:]))
    assert shapes == [(c, *shape) for c, shape in zip((4, 5, 6), halved, strict=True)]
    assert inputs.shape == (2, 7)


@pytest.mark.parametrize("dimensions", LAYERS)
def test_norms_learn_nothing_and_convolutions_have_no_bias(dimensions):
    kinds = [type(layer) for layer in bn_convnet(dimensions, (1, 8, 16), 10)]
    assert kinds == [*LAYERS[dimensions], nn.ReLU] * 2 + [GlobalAverage, nn.Linear]
    shapes = [tuple(p.shape) for p in bn_convnet(dimensions, (1, 8, 16), 10).parameters()]
    kernel = (3,) * dimensions
    assert shapes == [(8, 1, *kernel), (16, 8, *kernel), (10, 16), (10,)]


def test_the_mean_is_over_positions():
    signals, images = torch.randn(2, 3, 5), torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(GlobalAverage()(signals), signals.mean(dim=2))
    torch.testing.assert_close(GlobalAverage()(images), images.mean(dim=(2, 3)))


@pytest.mark.parametrize("dimensions", LAYERS)
def test_convolutions_start_from_he_weights_by_fan_out(dimensions):
    torch.manual_seed(0)
    layer = bn_convnet(dimensions, (50, 80), 10)[0]
    wanted = math.sqrt(2 / (3**dimensions * 80))
    assert layer.weight.std().item() == pytest.approx(wanted, rel=0.03)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.05 * wanted)


@pytest.mark.parametrize(("task", "parameters"), [("mnist1d", 2274), ("mnist5k", 6162)])
def test_the_parameters_of_the_tasks_that_use_them(task, parameters):
    assert sum(p.numel() for p in load_task(task).network().parameters()) == parameters
