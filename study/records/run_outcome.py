"""What one run of a user's command gives: the record that passes from running to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RunOutcome:
    """What a run gave.

    Attributes:
        value: of the study's metric, in its unit; infinite, on the worse side, if it diverged.
        diverged: whether it ended with a value that is no finite number.
        seconds: wall time.
        pruned: whether it was given up as hopeless before its end; its value is the last one then.
        curves: float32 [points] per metric, all of one length; none of a single point.
    """

    value: float
    diverged: bool
    seconds: float
    curves: Mapping[str, np.ndarray]
    pruned: bool = False
