"""What training a chunk gives: the record that passes from training to the store.

Letters: K cells of the chunk, E epochs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from landscape_study.study.spec.metric import TEST_ERROR, Metric


@dataclass(frozen=True)
class Outcome:
    """What K trained cells gave.

    Attributes:
        curves: per metric that the task records, float32 [K, E], one value an epoch: `train_loss`
            is the mean over the epoch's batches, the others are taken after it. From the epoch of
            divergence on, errors in percent are at chance level, and all that has none is NaN.
        diverged_epoch: [K], the epoch (from 1) in which a cell's loss, parameters or what else is
            measured became non-finite; 0 where they never did.
        seconds: wall time of the whole chunk.
        solution: the epoch (from 1) whose values count; None for the last one.
        metric: what is the cells' value.
        pruned_epoch: [K], the epoch after which a cell was given up as hopeless; 0 where it was
            not. What its curves say of later epochs counts for nothing.
        mechanism: per quantity of `pairs.meter.MECHANISM`, float32 [K, E]: what happened inside,
            one value an epoch; NaN from the epoch of divergence on. Empty where nobody looked.
    """

    curves: dict[str, np.ndarray]
    diverged_epoch: np.ndarray
    seconds: float
    solution: int | None = None
    metric: Metric = TEST_ERROR
    mechanism: dict[str, np.ndarray] = field(default_factory=dict)
    pruned_epoch: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not self.pruned_epoch.size:
            object.__setattr__(self, "pruned_epoch", np.zeros_like(self.diverged_epoch))

    def final(self, metric: str) -> np.ndarray:
        """The metric after the epoch that counts, [K]; of what was given up, after its last."""
        counts = np.where(self.pruned_epoch > 0, self.pruned_epoch, self.solution or 0) - 1
        return self.curves[metric][np.arange(len(counts)), counts]

    def epochs(self) -> np.ndarray:
        """How many each cell was trained, or spared since it diverged, [K]."""
        most = next(iter(self.curves.values())).shape[1]
        return np.where(self.pruned_epoch > 0, self.pruned_epoch, most)

    def first(self, cells: int) -> Outcome:
        """Of the first cells only."""
        curves, mechanism = (
            {name: curve[:cells] for name, curve in some.items()}
            for some in (self.curves, self.mechanism)
        )
        return replace(
            self,
            curves=curves,
            mechanism=mechanism,
            diverged_epoch=self.diverged_epoch[:cells],
            pruned_epoch=self.pruned_epoch[:cells],
        )

    def lost_epoch(self) -> np.ndarray:
        """`diverged_epoch` of the cells whose value that spoilt, else 0, [K].

        A cell that diverges after the epoch that counts has a value like any other.
        """
        after = self.diverged_epoch > (self.solution or np.inf)
        return np.where(after | (self.pruned_epoch > 0), 0, self.diverged_epoch)
