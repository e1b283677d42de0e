import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP
from landscape_study.landscapes.figures.interactive import (
    HOVER,
    interactive_heatmap,
    interactive_heatmaps,
)
from landscape_study.landscapes.figures.style import colormap
from landscape_study.study.errors import UsageError

nan, inf = math.nan, math.inf


@pytest.fixture
def field(make):
    """α = 0.05, 0.1; λ = 0, 0.0005, 0.001; a diverged and a missing cell."""
    made = make([[4, 5, nan], [90, 3.5, 6]], diverged=[[0, 0, 0], [1, 0, 0]], seeds=3)
    return replace(made, stderr=np.array([[0.25, 0.1, nan], [nan, 0.125, 0.5]]))


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_cells_and_what_they_tell(field):
    (cells, *_) = interactive_heatmap(field).data
    assert cells.x == pytest.approx((0, 1, 1.35, 2.35, 3.35))  # λ = 0 stands apart
    assert cells.y == (0, 1, 2)
    assert [list(row) for row in cells.z] == [[4, None, 5, None], [90, None, 3.5, 6]]
    assert cells.hovertemplate == HOVER
    assert not cells.hoverongaps
    tuples = [[tuple(cell) for cell in row] for row in cells.customdata]
    assert tuples[0][0] == ("α = 1/2 × 0.1 (0.05)", "λ = 0", "test error 4.00 ± 0.25 %", "3 seeds")
    assert tuples[1][2][:2] == ("α = 0.1", "λ = 1/2 × 0.001 (0.0005)")
    assert tuples[1][0] == ("α = 0.1", "λ = 0", "test error 90.00 %", "3 seeds, 1 diverged")


def test_hover_shows_every_entry():
    assert [f"%{{customdata[{i}]}}" in HOVER for i in range(4)] == [True] * 4


def test_looks_as_the_static_one(field):
    figure = interactive_heatmap(field, top=2)
    layout = figure.layout
    assert layout.xaxis.tickvals == pytest.approx((0.5, 1.85, 2.85))
    assert layout.xaxis.ticktext == ("0", "1/2", "1")
    assert layout.yaxis.ticktext == ("1/2", "1")
    assert layout.xaxis.title.text == "weight decay λ (× 0.001)"
    assert layout.yaxis.title.text == "initial learning rate α (× 0.1)"
    assert layout.yaxis.range == (0, 2)  # α upwards
    assert layout.annotations[0].text.startswith("<b>AdamW</b><br><sup>best 3.50 ± 0.12 %")
    assert (layout.coloraxis.cmin, layout.coloraxis.cmax) == (3.5, 6.5)
    first, *_, last = layout.coloraxis.colorscale
    mako = colormap(CMAP)
    assert [first[0], last[0]] == [0, 1]
    for (_, color), end in ((first, 0.0), (last, 1.0)):
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(channels, mako(end)[:3], atol=0.003)
    assert layout.coloraxis.colorbar.title.text == "test error (%), mean over 3 seeds"


def test_marks(field):
    figure = interactive_heatmap(field, top=2)
    (circles,), (best,), (crosses,) = (
        traces(figure, name) for name in ("circles", "best", "diverged")
    )
    assert list(zip(circles.x, circles.y, strict=True)) == [(1.85, 1.5), (0.5, 0.5)]
    assert (best.x, best.y) == ((1.85,), (1.5,))
    assert (crosses.x, crosses.y) == ((0.5,), (1.5,))
    assert {trace.hoverinfo for trace in figure.data[1:]} == {"skip"}


def test_several_share_one_scale(make, field):
    figure = interactive_heatmaps([field, make([[2.5, 4]])], columns=1)
    cells = [trace for trace in figure.data if trace.type == "heatmap"]
    assert {trace.coloraxis for trace in cells} == {"coloraxis"}
    assert figure.layout.coloraxis.cmin == 2.5
    assert [trace.yaxis for trace in cells] == ["y", "y2"]


@pytest.mark.parametrize("error", [[[nan, nan]], [[inf, inf]], [[4.0, 5.0]]])
def test_whatever_there_is_becomes_json(make, error):
    field = make(error, diverged=np.isinf(error).astype(int))
    assert json.loads(interactive_heatmap(field).to_json())["data"]


def test_without_plotly_the_error_says_what_to_install(field, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.subplots", None)
    with pytest.raises(UsageError, match=r"pip install 'landscape-study\[notebooks\]'"):
        interactive_heatmap(field)
