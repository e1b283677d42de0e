"""Figures for papers: exact widths, sizes of fonts, nothing clipped, colours for everyone."""

import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
import seaborn as sns
from matplotlib.colors import to_hex
from matplotlib.text import Text

from landscape_study.landscapes.figures.curves import Curve, CurvesRecord, draw_curves
from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP, plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import CONTOURS, heatmaps_record
from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.figures.slices import LIGHTEST, SHADES, plot_slices_figure
from landscape_study.landscapes.figures.style import colormap, save
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis

pytestmark = pytest.mark.slow


def bowl(rows, columns):
    """Errors that rise from 2 in the middle, with noise."""
    y, x = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(0).normal(0, 0.1, (rows, columns))
    return 2.3 + 0.2 * ((x - columns / 2) ** 2 + (y - rows / 2) ** 2) + noise


def lightness(colors):
    """CIE L* of sRGB colours, [n, 3] in 0 to 1."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    cube = np.cbrt(luminance)
    return np.where(luminance > 216 / 24389, 116 * cube - 16, luminance * 24389 / 27)


class TestWidth:
    @pytest.mark.parametrize(
        ("width", "inches"), [("column", 3.25), ("page", 5.5), (4, 4), ("6.5", 6.5)]
    )
    def test_names_and_inches(self, width, inches):
        assert paper_width(width) == inches

    @pytest.mark.parametrize("width", ["wide", 1, "0", 100, float("nan")])
    def test_impossible_ones(self, width):
        with pytest.raises(UsageError, match=r"give inches from 2.5 to 20, or one of 'column'"):
            paper_width(width)

    @pytest.mark.parametrize(
        ("count", "width", "columns"),
        [(4, "page", 2), (4, "column", 1), (3, "page", 3), (12, "page", 3), (12, 20, 4)],
    )
    def test_fewer_axes_in_a_row_on_narrow_paper(self, make, count, width, columns):
        assert heatmaps_record([make([[1, 2]])] * count, width=width).columns == columns

    def test_columns_asked_for_are_kept(self, make):
        assert heatmaps_record([make([[1, 2]])] * 2, width=3.25, columns=2).columns == 2


FIGURES = {
    "heatmaps": lambda fields, width: plot_heatmaps(fields, width=width, contours=CONTOURS),
    "slices": lambda fields, width: plot_slices_figure(fields, width=width),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("width", [3.25, 5.5])
@pytest.mark.parametrize(
    ("count", "shape"), [(1, (11, 12)), (2, (11, 12)), (4, (11, 12)), (4, (11, 20)), (1, (3, 3))]
)
def test_everything_is_readable_and_inside(make, kind, width, count, shape):
    fields = [make(bowl(*shape), title=f"panel {i}", seeds=3) for i in range(count)]
    figure = FIGURES[kind](fields, width)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == width
    assert figure.get_figheight() <= 9
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 6
    assert max(text.get_fontsize() for text in texts) <= 9
    page, box = figure.bbox, figure.get_tightbbox()  # pixels, inches
    assert -0.01 <= box.x0 < box.x1 <= width + 0.01
    assert -0.01 <= box.y0 < box.y1 <= page.height / figure.dpi + 0.01
    for ax in figure.axes[:count]:
        for labels, side in ((ax.get_xticklabels(), "x"), (ax.get_yticklabels(), "y")):
            boxes = [label.get_window_extent() for label in labels if label.get_text()]
            ends = [(getattr(box, side + "0"), getattr(box, side + "1")) for box in boxes]
            ends = [end for end in ends if ax.bbox.x0 <= end[0] or side == "y"]
            assert all(one[1] <= two[0] + 0.5 for one, two in itertools.pairwise(ends))


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_a_file_is_exactly_as_wide_as_asked_for(make, tmp_path, suffix):
    figure = plot_heatmaps([make(bowl(4, 5))], width="column", contours=CONTOURS)
    data = save(figure, tmp_path / f"figure.{suffix}").read_bytes().decode("latin-1")
    pattern = {"pdf": r"/MediaBox \[ 0 0 ([\d.]+)", "svg": r'<svg[^>]* width="([\d.]+)pt"'}[suffix]
    found = re.search(pattern, data)
    assert found
    assert float(found[1]) == pytest.approx(3.25 * 72)


def test_fonts_of_the_screen_stay(make):
    plot_heatmaps([make([[1, 2]])], width="page")
    assert mpl.rcParams["font.size"] == 10
    (legend,) = plot_heatmaps([make([[1, 2]])]).legends
    assert legend.get_texts()[0].get_fontsize() == pytest.approx(8.33)


class TestColours:
    @pytest.mark.parametrize(("name", "end"), [(CMAP, 1.0), (SHADES, LIGHTEST)])
    def test_ordered_colours_rise_in_lightness(self, name, end):
        shades = lightness(colormap(name)(np.linspace(0, end, 101))[:, :3])
        assert (np.diff(shades) > 0).all()
        assert shades[-1] - shades[0] > 60

    def test_lightness_itself(self):
        grey = np.array([[0, 0, 0], [0.466327, 0.466327, 0.466327], [1, 1, 1]])
        np.testing.assert_allclose(lightness(grey), [0, 50, 100], atol=0.01)

    def test_curves_differ_by_colour_and_by_style(self, make):
        import matplotlib.pyplot as plt

        curves = tuple(Curve(str(i), (1, 2), (i, i), (0, 0), False) for i in range(20))
        lines = draw_curves(CurvesRecord(curves, "", False), plt.gca()).lines
        looks = [(to_hex(line.get_color()), line.get_linestyle()) for line in lines]
        assert len(set(looks)) == 20
        assert {color for color, _ in looks} == set(sns.color_palette("colorblind").as_hex())
        assert all(one[1] != two[1] for one, two in itertools.pairwise(looks[:10]))


def test_a_wide_axis_of_lambda_alone(make):
    field = make(bowl(2, 30), lambda_=Axis.log2(0.001, -29, 0))
    assert plot_heatmaps([field], width="column").get_figwidth() == 3.25
