"""Networks on tiny data: every layer that users are likely to bring, and what vmap cannot do."""

from functools import partial

import torch
from torch import nn

from landscape_study.study.tasks.networks.convnet import bn_convnet
from landscape_study.study.tasks.networks.shake_shake import Block
from tests.study.conftest import CLASSES


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


def deep_mlp():
    """With a hidden matrix that is not square."""
    return nn.Sequential(
        nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, CLASSES)
    )


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


def flat_net():
    """Of images [2, 5, 5]."""
    return nn.Sequential(nn.Flatten(), nn.Linear(50, CLASSES))


def dropout_mlp():
    return nn.Sequential(
        nn.Linear(6, 16), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, CLASSES)
    )


def layer_norm_mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, CLASSES))


class WithUnusedLayer(nn.Module):
    """Of whose parameters some never have a gradient."""

    def __init__(self):
        super().__init__()
        self.first, self.unused, self.last = (
            nn.Linear(6, 8),
            nn.Linear(3, 3),
            nn.Linear(8, CLASSES),
        )

    def forward(self, inputs):
        return self.last(torch.tanh(self.first(inputs)))


def frozen_start():
    network = mlp()
    network[0].requires_grad_(False)
    return network


def shake_shake_net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        Block(4, 4, 1, shake=True),
        Block(4, 6, 2, shake=True),
        nn.ReLU(),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


NETWORKS = {
    "ConvNet 1D of the tasks": (partial(bn_convnet, 1, (2, 4, 6), CLASSES), "signal"),
    "ConvNet 2D of the tasks": (partial(bn_convnet, 2, (2, 4, 6), CLASSES), "image"),
    "MLP": (mlp, "vector"),
    "BN-MLP": (batch_norm_mlp, "vector"),
    "ConvNet 2D": (conv_net, "image"),
    "Shake-Shake": (shake_shake_net, "image"),
    "dropout": (dropout_mlp, "vector"),
    "layer norm": (layer_norm_mlp, "vector"),
    "attention": (AttentionNetwork, "tokens"),
    "tied weights": (TiedNetwork, "vector"),
    "frozen layer": (frozen_start, "vector"),
    "assigned buffer": (MovingAverage, "vector"),
}


# What torch.func.vmap cannot do


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
