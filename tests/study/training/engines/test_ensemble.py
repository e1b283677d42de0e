"""Copies of a network, stacked: flat parameters, views by name, buffers."""

import pytest
import torch
from torch import nn

from landscape_study.study.training.engines import Ensemble
from tests.study.conftest import CLASSES
from tests.study.networks import TiedNetwork, batch_norm_mlp, conv_net, frozen_start, mlp


def test_all_copies_start_as_the_network_itself():
    network = batch_norm_mlp()
    ensemble = Ensemble(network, 3, "cpu", torch.float64)
    named = dict(network.named_parameters())
    found = ensemble.parameters(ensemble.theta)
    assert list(found) == list(named)
    for name, parameter in named.items():
        assert found[name].dtype == torch.float64
        assert torch.equal(found[name], parameter.expand(3, *parameter.shape))
    for name, buffer in network.named_buffers():
        assert torch.equal(ensemble.buffers[name], buffer.expand(3, *buffer.shape))


def test_views_by_name_move_with_the_flat_parameters_of_their_own_copy():
    ensemble = Ensemble(conv_net(), 2, "cpu", torch.float32)
    found = ensemble.parameters(ensemble.theta)
    assert sum(p[0].numel() for p in found.values()) <= ensemble.theta.shape[1]
    before = {name: p.clone() for name, p in found.items()}
    ensemble.theta[1] += 1
    for name, p in found.items():
        assert torch.equal(p, before[name] + torch.tensor([0, 1]).view(2, *[1] * (p.ndim - 1)))


def test_the_buffers_of_a_copy_are_its_own():
    ensemble = Ensemble(batch_norm_mlp(), 2, "cpu", torch.float32)
    mean = ensemble.buffers["1.running_mean"]
    mean[0] += 1
    assert mean[1].abs().max() == 0
    assert ensemble.buffers["1.num_batches_tracked"].dtype == torch.int64


def test_tied_weights_are_one():
    ensemble = Ensemble(TiedNetwork(), 2, "cpu", torch.float32)
    assert "second.weight" not in ensemble.shapes
    assert ensemble.theta.shape[1] == 6 * 6 + 2 * 6 + 6 * CLASSES + CLASSES + 1  # an even place


def odd_network():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1), Scaled())


class Scaled(nn.Module):
    """By a parameter without dimensions."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))


def test_each_parameter_begins_at_an_even_place_and_what_fills_up_is_0():
    ensemble = Ensemble(odd_network(), 2, "cpu", torch.float32)
    assert ensemble.widths == [16, 6, 6, 2, 2]
    assert ensemble.theta.shape == (2, 32)
    found = ensemble.parameters(ensemble.theta)
    assert [p.shape for p in found.values()] == [(2, 5, 3), (2, 5), (2, 1, 5), (2, 1), (2,)]
    assert all(p.storage_offset() % 2 == 0 for p in found.values())
    assert torch.equal(ensemble.flat(list(found.values())), ensemble.theta)
    for p in found.values():
        p.fill_(1.0)
    assert ensemble.theta.sum(dim=1).tolist() == [15 + 5 + 5 + 1 + 1] * 2


def test_the_networks_own_precision_is_not_changed_without_need():
    network = mlp()
    network.register_buffer("total", torch.zeros(1, dtype=torch.float64))
    network.register_buffer("phase", torch.zeros(1, dtype=torch.complex64))
    single = Ensemble(network, 2, "cpu", torch.float32)
    kinds = {name: b.dtype for name, b in single.buffers.items()}
    assert kinds == {"total": torch.float64, "phase": torch.complex64}
    assert Ensemble(network, 2, "cpu", torch.float64).buffers["phase"].dtype == torch.complex128


def test_parameters_that_are_not_of_the_studys_precision_are_refused():
    complex_ones = nn.ParameterList([torch.zeros(3, dtype=torch.complex64)])
    with pytest.raises(TypeError, match=r"parameters of kind torch.complex64, not torch.float32"):
        Ensemble(complex_ones, 2, "cpu", torch.float32)


def test_frozen_parameters_stay_where_they_are(make_task, make_panel, train):
    trained = train(make_task(frozen_start), make_panel("sgdw"))
    torch.manual_seed(1)
    start = frozen_start()
    assert trained.buffers == {}
    assert start[0].weight.requires_grad is False
    assert trained.theta.shape[1] == 8 * CLASSES + CLASSES  # without what fills up
