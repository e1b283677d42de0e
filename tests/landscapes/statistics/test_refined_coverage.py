"""How often intervals of refined grids hold the truth; no verdict is the contrary of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.landscapes.statistics.refined_coverage import BOWLS, SEEN, seen, true_values

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", ["upright", "narrow", "narrow, upright"])
def test_intervals_hold_the_truth(name: str):
    bowl, held, verdicts = BOWLS[name], [], []
    for every in seen(bowl, 6):
        for one, frame in every[1 : len(SEEN) - 1]:  # refined once and twice
            verdicts.append(one.verdict)
            for statistic, true in true_values(bowl, one, frame).items():
                estimate = getattr(one, statistic)
                if estimate.has_interval and np.isfinite(true):
                    held.append(estimate.low - 1e-9 <= true <= estimate.high + 1e-9)
    assert sum(held) >= 0.8 * len(held) > 0
    assert ("separable" if bowl.slope else "coupled") not in verdicts
    assert ("coupled" if bowl.slope else "separable") in verdicts
