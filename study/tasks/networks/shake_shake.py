"""The paper's network: ResNet 26 2xNd with Shake-Shake regularization.

Sources: Gastaldi, "Shake-Shake regularization" (2017), and its Torch code; Loshchilov & Hutter,
"Decoupled Weight Decay Regularization" (ICLR 2019), who train the widths N = 64 and 96.

Letters: B images, C channels, H and W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from landscape_study.study.tasks.networks.initialization import he_fan_out

STEM = 16  # channels of the first convolution
BLOCKS = 4  # a stage
IMAGE = 32  # pixels a side


class ShakeShake(torch.autograd.Function):
    """a·x + (1 − a)·y on the way forward, the same with b instead of a on the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Mix `x` and `y` [B, C, H, W] by weights `a` [B, 1, 1, 1]."""
        return a * x + (1 - a) * y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the weights of the way back."""
        ctx.save_for_backward(inputs[3])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Share the gradient by `b`."""
        (b,) = ctx.saved_tensors
        return b * gradient, (1 - b) * gradient, None, None


class Shortcut(nn.Module):
    """The skip connection between widths: two paths, the second shifted by one pixel.

    Each is subsampled by `stride` and has a 1×1 convolution to half the outputs.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.straight = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.shifted = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, H, W] → [B, outputs, H / stride, W / stride]."""
        inputs = torch.relu(inputs)
        # One pixel down and to the right, zeros coming in from above and the left.
        moved = nn.functional.pad(inputs[:, :, :-1, :-1], (1, 0, 1, 0))
        every = (..., slice(None, None, self.stride), slice(None, None, self.stride))
        paths = [self.straight(inputs[every]), self.shifted(moved[every])]
        return self.norm(torch.cat(paths, dim=1))


class Block(nn.Module):
    """A residual block of two branches that Shake-Shake mixes, image by image."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, shake: bool) -> None:
        super().__init__()
        self.shake = shake
        self.first = _branch(inputs, outputs, stride)
        self.second = _branch(inputs, outputs, stride)
        self.skip = nn.Identity() if inputs == outputs else Shortcut(inputs, outputs, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, H, W] → [B, outputs, H / stride, W / stride]."""
        x, y = self.first(inputs), self.second(inputs)
        if not (self.training and self.shake):
            return self.skip(inputs) + 0.5 * (x + y)
        one_an_image = (len(inputs), 1, 1, 1)
        a = torch.rand(one_an_image, device=x.device, dtype=x.dtype)
        b = torch.rand(one_an_image, device=x.device, dtype=x.dtype)
        return self.skip(inputs) + ShakeShake.apply(x, y, a, b)


def _branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )


def shake_shake_26(width: int, classes: int, *, shake: bool = True) -> nn.Sequential:
    """ResNet 26 2x`width`d for images [B, 3, 32, 32].

    A 3×3 convolution to 16 channels; three stages of 4 blocks, of `width`, 2·`width` and
    4·`width` channels and strides 1, 2, 2; ReLU, average over all pixels, linear.

    Args:
        width: channels of the first stage: 32, 64 and 96 have 2,923,162, 11,653,978 and
            26,192,922 parameters with 10 classes.
        classes: outputs.
        shake: False mixes the branches evenly in training too.
    """
    layers: list[nn.Module] = [nn.Conv2d(3, STEM, 3, padding=1, bias=False), nn.BatchNorm2d(STEM)]
    before = STEM
    for stage, stride in enumerate((1, 2, 2)):
        after = width * 2**stage
        for block in range(BLOCKS):
            layers.append(Block(before, after, stride if block == 0 else 1, shake=shake))
            before = after
    pixels = IMAGE // 4
    layers += [nn.ReLU(), nn.AvgPool2d(pixels), nn.Flatten(), nn.Linear(before, classes)]
    network = nn.Sequential(*layers)
    he_fan_out(network)
    return network
