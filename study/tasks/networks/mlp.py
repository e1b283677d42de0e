"""Multilayer perceptrons."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def bn_mlp(widths: Sequence[int]) -> nn.Sequential:
    """A multilayer perceptron with batch norm (no affine) and ReLU after each hidden layer.

    Weights start from He's normal initialization (He et al., ICCV 2015), biases from 0.

    Args:
        widths: inputs, hidden layers, outputs; `(64, 64, 64, 10)` has two hidden layers.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, affine=False), nn.ReLU()]
    layers.append(nn.Linear(widths[-2], widths[-1]))
    network = nn.Sequential(*layers)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network
