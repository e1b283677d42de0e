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
        mechanism: per quantity of `pairs.meter.MECHANISM`, float32 [K, E]: what happened inside,
            one value an epoch; NaN from the epoch of divergence on. Empty where nobody looked.
    """

    curves: dict[str, np.ndarray]
    diverged_epoch: np.ndarray
    seconds: float
    solution: int | None = None
    metric: Metric = TEST_ERROR
    mechanism: dict[str, np.ndarray] = field(default_factory=dict)

    def final(self, metric: str) -> np.ndarray:
        """The metric after the epoch that counts, [K]."""
        return self.curves[metric][:, (self.solution or 0) - 1]

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
        )

    def lost_epoch(self) -> np.ndarray:
        """`diverged_epoch` of the cells whose value that spoilt, else 0, [K].

        A cell that diverges after the epoch that counts has a value like any other.
        """
        after = self.diverged_epoch > (self.solution or np.inf)
        return np.where(after, 0, self.diverged_epoch)
