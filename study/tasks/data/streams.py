"""Data that are read while they are trained on, as a task gives them, and opened.

Letters: B examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from landscape_study.study.tasks.data.form import Names
from landscape_study.study.tasks.data.indexed import Indexed
from landscape_study.study.tasks.data.loaded import Loaded


@dataclass(frozen=True, eq=False)
class Streams:
    """What to train on and to test on, read anew in each epoch and never held as a whole.

    Each side is one of these:

    - a data set with a length, whose items are had by their number (of torch, of Hugging Face, a
      list of pairs): this tool shuffles it and makes the batches, of any size;
    - a loader: an iterable of batches that can be gone through anew in each epoch (torch's
      DataLoader). Random numbers, generators and `set_epoch` are set before each epoch, so that
      its order is that of the study's seed;
    - a function of a seed that gives such an iterable, for one epoch.

    Items are pairs of an input and its target, batches pairs of inputs [B, …] and targets [B, …];
    or both are dicts, with the columns that `inputs` and `targets` name.

    Attributes:
        train: what to train on.
        test: what to test on.
        inputs: the column of the inputs, where there are columns; several of one shape and type
            are stacked, [B, columns, …].
        targets: that of the targets.
        workers: processes that fetch items ahead, for each worker of a run; they change no
            result. A loader has its own.

    Raises:
        ValueError: one column without the other, or fewer workers than none.
    """

    train: Any
    test: Any
    inputs: Names | None = None
    targets: str | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if (self.inputs is None) != (self.targets is None):
            raise ValueError("Streams: inputs and targets name two columns: give both or none")
        if self.workers < 0:
            raise ValueError(f"Streams: workers = {self.workers}: give 0 or more")


@dataclass(frozen=True)
class Opened:
    """Streams that were looked at and counted. See `TaskData`."""

    train: Indexed | Loaded
    test: Indexed | Loaded

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Opened:  # noqa: D102
        return Opened(self.train.to(device, dtype), self.test.to(device, dtype))
