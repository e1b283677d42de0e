"""What is said of pairs whose code is the user's own: no more than their names say."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from landscape_study.landscapes.figures.style import lambda_title
from landscape_study.landscapes.reading.landscape import title
from landscape_study.landscapes.reading.timescales import panel_timescale
from landscape_study.landscapes.statistics.defaults import defaults
from landscape_study.study.spec.study import Study


def study(pair: str, **own: Any) -> Study:
    cells = {"alpha": [0.1], "lambda": [0.01], "epochs": 3, "batch_size": 10}
    return Study.from_dict(
        {"name": "a", "task": "digits", "panel": [{"pair": pair, **cells, **own}]}, ""
    )


@pytest.mark.parametrize(
    ("pair", "name", "lambda_name"),
    [
        ("nowhere.py:Tiger-l2", "Tiger + L2", "L2 factor λ"),
        ("nowhere.py:Tiger-scaled", "Tiger (λ scaled by α)", "weight decay λ"),
        ("nowhere.py:Tiger-squared-cautious", "Tiger (λ squared, cautious)", "weight decay λ"),
        ("torch.optim:NAdam", "NAdam (torch.optim)", "weight decay λ"),
        ("runs/nowhere.py:Mine", "Mine (nowhere.py)", "weight decay λ"),
    ],
)
def test_titles_are_those_of_the_name(pair: str, name: str, lambda_name: str):
    (panel,) = study(pair).panels
    assert title(panel) == name
    assert lambda_title(panel.grid.lambda_, pair, False).startswith(lambda_name)
    (panel,) = study(pair, name=f"{panel.name}-15-epochs").panels
    assert title(panel) == f"{name}, 15 epochs"
    assert [one.name for one in defaults(pair)] == ["λ = 0"]
    assert "nowhere" not in sys.modules


@pytest.mark.parametrize(
    ("pair", "epochs"),
    [
        ("nowhere.py:Tiger-decoupled", 10.0),
        ("nowhere.py:Tiger-scaled", 100.0),
        ("nowhere.py:Tiger-l2", None),
        ("torch.optim:NAdam", None),
    ],
)
def test_a_timescale_is_told_where_the_placement_tells_it(pair: str, epochs: float | None):
    whole = study(pair)
    found = panel_timescale(whole, whole.panels[0], examples=100)
    assert (found and found.epochs(0.1, 0.01)) == (epochs and pytest.approx(epochs))
