"""Small convolutional networks with batch norm."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from landscape_study.study.tasks.networks.initialization import he_fan_out

LAYERS = {1: (nn.Conv1d, nn.BatchNorm1d), 2: (nn.Conv2d, nn.BatchNorm2d)}


class GlobalAverage(nn.Module):
    """Mean over all positions: [B, C, …] → [B, C]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """The means."""
        return inputs.flatten(2).mean(dim=2)


def bn_convnet(dimensions: int, channels: Sequence[int], classes: int) -> nn.Sequential:
    """A convolutional network: 3-wide convolutions of stride 2, batch norm, ReLU; mean; linear.

    Args:
        dimensions: 1 for signals [B, C, L], 2 for images [B, C, H, W].
        channels: of the input and of each layer; `(1, 8, 16)` has two layers.
        classes: outputs.
    """
    convolution, norm = LAYERS[dimensions]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            convolution(before, after, 3, stride=2, padding=1, bias=False),
            norm(after, affine=False),
            nn.ReLU(),
        ]
    network = nn.Sequential(*layers, GlobalAverage(), nn.Linear(channels[-1], classes))
    he_fan_out(network)
    return network
