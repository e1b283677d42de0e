"""How often intervals of scattered designs hold the truth; no verdict is the contrary of it."""

import pytest

from landscape_study.landscapes.statistics.separability import separability
from tests.landscapes.statistics.scattered_coverage import (
    DESIGNS,
    LOSS,
    frame_of_design,
    repeated,
    true_values,
)

SOME = [*DESIGNS][::2]  # `python -m tests.landscapes.statistics.scattered_coverage` has all

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", SOME)
def test_intervals_hold_the_truth(name):
    held, verdicts = [], []
    for design in repeated(DESIGNS[name], 12):
        frame = frame_of_design(design)
        found = separability(frame, LOSS)
        verdicts.append(found.verdict)
        for statistic, true in true_values(design, frame, found).items():
            estimate = getattr(found, statistic)
            held.append(not estimate.has_interval or estimate.low <= true <= estimate.high)
    assert sum(held) >= 0.8 * len(held)
    assert ("separable" if DESIGNS[name].slope else "coupled") not in verdicts
