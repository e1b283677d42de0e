"""Copies of a network, stacked: flat parameters, views by name, buffers."""

import torch

from study.engines import Ensemble
from tests.study.conftest import CLASSES
from tests.study.networks import TiedNetwork, batch_norm_mlp, conv_net, frozen_start


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
    assert sum(p[0].numel() for p in found.values()) == ensemble.theta.shape[1]
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
    assert ensemble.theta.shape[1] == 6 * 6 + 2 * 6 + 6 * CLASSES + CLASSES


def test_matrices_are_told_from_biases_and_norms():
    ensemble = Ensemble(batch_norm_mlp(), 1, "cpu", torch.float64)
    kinds = ensemble.parameters(ensemble.matrices_only()[None])
    assert {name: set(kind.flatten().tolist()) for name, kind in kinds.items()} == {
        name: {float(len(shape) > 1)} for name, shape in ensemble.shapes.items()
    }
    assert ensemble.matrices_only().dtype == torch.float64


def test_frozen_parameters_stay_where_they_are(make_task, make_panel, train):
    trained = train(make_task(frozen_start), make_panel("sgdw"))
    torch.manual_seed(1)
    start = frozen_start()
    torch.testing.assert_close(trained.buffers["0.weight"][1], start[0].weight.double())
    assert trained.theta.shape[1] == 8 * CLASSES + CLASSES
