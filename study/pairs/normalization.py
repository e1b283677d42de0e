"""Normalized weight decay: λ that stands for the same at every budget and batch size."""

from __future__ import annotations

import math


def normalizer(batch_size: int, examples: int, epochs: float) -> float:
    """The factor from λ_norm to λ: √(b/(B·T)), paper section 3 (normalized weight decay).

    b = `batch_size`, B = `examples` in the training set, T = `epochs` of the current cycle.
    """
    return math.sqrt(batch_size / (examples * epochs))
