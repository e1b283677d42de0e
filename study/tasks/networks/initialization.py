"""How the weights of convolutional networks start."""

import math

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


def he_fan_out(network: nn.Module) -> None:
    """Draw convolutions from a normal distribution of variance 2 / (kernel size · outputs).

    He et al., "Delving deep into rectifiers" (ICCV 2015), by fan-out, as the authors of
    Shake-Shake and of the paper do.
    """
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            fan_out = math.prod(module.kernel_size) * module.out_channels
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
