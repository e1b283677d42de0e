"""Normalizing and augmenting images, a batch at a time, on whatever device the batch is.

Letters: B examples, C channels, H × W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def normalize(inputs: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """(inputs − mean) / deviation of each channel, as float32.

    Args:
        inputs: pixels uint8 [B, C, H, W], 0 to 255.
        mean: C means, on the scale of the pixels.
        deviation: C deviations, likewise.
    """
    channels = torch.tensor([mean, deviation], dtype=torch.float32, device=inputs.device)
    return (inputs - channels[0, :, None, None]) / channels[1, :, None, None]


def flip_and_crop(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Each image flipped or not, then shifted by up to 4 pixels each way: `flip`, then `crop`.

    He et al., CVPR 2016, Section 4.2; in this order in the paper's code.

    Args:
        inputs: [B, C, H, W], normalized already, so that the border is the mean colour.
        generator: a CPU generator, so that every device sees the same images.
    """
    return crop(flip(inputs, generator), generator)


def flip(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of [B, C, H, W] mirrored left to right with probability one half."""
    mirrored = torch.rand(len(inputs), generator=generator) < 0.5
    return torch.where(_moved(mirrored, inputs)[:, None, None, None], inputs.flip(-1), inputs)


def crop(inputs: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """A random H × W window of each image of [B, C, H, W] padded with zeros on all sides."""
    height, width = inputs.shape[-2:]
    top, left = torch.randint(2 * padding + 1, (2, len(inputs)), generator=generator)
    padded = functional.pad(inputs, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: nothing is copied here
    image = torch.arange(len(inputs), device=inputs.device)
    return windows[image, :, _moved(top, inputs), _moved(left, inputs)]


def _moved(drawn: Tensor, inputs: Tensor) -> Tensor:
    """Drawn on the CPU, used where the inputs are."""
    return drawn.to(inputs.device, non_blocking=True)
