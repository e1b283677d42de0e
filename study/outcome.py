"""What training a chunk gives: the record that passes from training to the store.

Letters: K cells of the chunk, E epochs.
"""

from dataclasses import dataclass

import numpy as np

METRICS = ("train_loss", "test_loss", "test_error")


@dataclass(frozen=True)
class Outcome:
    """What K trained cells gave.

    Attributes:
        curves: per metric of `METRICS`, float32 [K, E], one value an epoch: `train_loss` is the
            mean over the epoch's batches, `test_loss` and `test_error` (percent) are taken after
            it. From the epoch of divergence on, losses are NaN and the error is chance level.
        diverged_epoch: [K], the epoch (from 1) in which a cell's loss or parameters became
            non-finite; 0 where they never did.
        seconds: wall time of the whole chunk.
    """

    curves: dict[str, np.ndarray]
    diverged_epoch: np.ndarray
    seconds: float

    def final(self, metric: str) -> np.ndarray:
        """The metric after the last epoch, [K]."""
        return self.curves[metric][:, -1]
