"""The same results as errors in percent, as an accuracy from 0 to 1, and as a small loss.

What matters is turned along, so that a figure must show the same, and a sentence say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Study
from tests.landscapes.studies import Curves


@dataclass(frozen=True)
class Other:
    """A metric that is a linear function of the error in percent."""

    metric: Metric
    at_zero: float  # its value where the error is 0
    size: float  # of a point, in its unit

    def __call__(self, error):
        """The value where the error is so many percent; of arrays too."""
        return self.at_zero + self.metric.sign * self.size * np.asarray(error)

    def curves(self, errors: Curves) -> Curves:
        """The curves of a panel."""
        return {
            cell: [self(seed).tolist() for seed in seeds]  # type: ignore[attr-defined]
            for cell, seeds in errors.items()
        }

    def ends(self, errors: Sequence[float]) -> tuple[float, ...]:
        """The ends of an axis, ascending."""
        return tuple(sorted(self(errors).tolist()))


PERCENT = Other(TEST_ERROR, 0.0, 1.0)
ACCURACY = Other(
    Metric("accuracy", "accuracy", goal="maximize", matters=0.0025), at_zero=1.0, size=0.01
)
LOSS = Other(Metric("nll", "test loss", unit="nats", matters=0.00025), at_zero=0.01, size=0.001)
PERPLEXITY = Other(Metric("quality", "perplexity", matters=2500.0), at_zero=1e6, size=1e4)
REWARD = Other(Metric("reward", "reward", goal="maximize", matters=1.25), -100.0, size=5.0)
OTHERS = {one.metric.title: one for one in (ACCURACY, LOSS, PERPLEXITY, REWARD)}


def measured(study: Study, metric: Metric) -> Study:
    """The study with another metric."""
    return study.change(metric=metric)
