"""Sizes of figures of several axes: for the screen, or exactly as wide as a paper asks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from landscape_study.landscapes.figures.style import INK, TEXT, NotebookFigure, points
from landscape_study.study.errors import UsageError

# Inches: a column of ICML's two (instructions: 6.75 in for both and 0.25 in between), and the
# text of ICLR and NeurIPS (instructions: "a rectangle 5.5 inches wide and 9 inches long").
WIDTHS = {"column": 3.25, "page": 5.5}
LENGTH = 9.0  # inches of a page's text
NARROWEST, WIDEST = 2.5, 20.0
FONT = 9.0  # points in figures of a given width; text and ticks are 7.5 and 6.25 by it
PAPER = 2 / 3  # share that bars and legends keep on paper
STRIP, WORDS = 0.15, 0.45  # inches of a strip below all axes, and of its words
SLIMMEST = 1.6  # inches, with its words, of an axes that shares its row


@dataclass(frozen=True)
class Layout:
    """Rows and columns of equal axes. All sizes are inches."""

    rows: int
    columns: int
    width: float  # of one axes
    height: float
    beside: float  # words beside each axes
    above: float  # words above and below each axes
    right: float  # right of all: a colour bar
    below: float  # below all: a legend
    paper: float | None = None  # width of the whole, if it is given

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        width = self.columns * (self.width + self.beside) + self.right
        return self.paper or width, self.rows * (self.height + self.above) + self.below


def paper_width(width: float | str) -> float:
    """Return inches of a width in inches or of a named one.

    Raises:
        UsageError: neither, or too narrow or wide to draw.
    """
    try:
        inches = WIDTHS[width] if isinstance(width, str) and width in WIDTHS else float(width)
    except ValueError:
        inches = math.nan
    if not NARROWEST <= inches <= WIDEST:
        names = ", ".join(f"'{name}' ({value:g})" for name, value in WIDTHS.items())
        raise UsageError(
            f"width = {width}: give inches from {NARROWEST:g} to {WIDEST:g}, or one of {names}"
        )
    return inches


def paper_fonts(width: float | None) -> AbstractContextManager[None]:
    """Draw with a paper's font size, if the figure is of a given width."""
    return mpl.rc_context({} if width is None else {"font.size": FONT})


def fitting_columns(width: float, *, right: float = 0.0, legend: float = 0.0) -> int:
    """Count the axes that fit side by side and stay readable; arguments as of `make_layout`."""
    return max(int((width - PAPER * right) / (SLIMMEST + PAPER * legend)), 1)


def make_layout(
    rows: int,
    columns: int,
    *,
    screen: float,
    aspect: float,
    width: float | None,
    right: float = 0.0,
    legend: float = 0.0,
) -> Layout:
    """Choose sizes: axes `screen` inches wide, or a figure that is `width` inches wide.

    Args:
        rows: rows of axes.
        columns: axes in a row.
        screen: inches of one axes where no width is given.
        aspect: height over width of one axes; kept within what a screen or page has.
        width: inches of the figure.
        right: inches right of all axes, for a colour bar, on the screen.
        legend: inches right of each axes, for its legend, on the screen.
    """
    if width is None:
        height = min(max(aspect * screen, 1.3), 3.3)
        return Layout(rows, columns, screen, height, 0.65 + legend, 0.85, right, 0.3)
    beside, above, right, below = 0.5 + PAPER * legend, 1.3, PAPER * right, 0.3
    each = max((width - right) / columns - beside, 0.3)
    highest = min((LENGTH - below) / rows - above, 3.3)
    height = max(min(max(aspect * each, 1.2), highest), 0.8)
    return Layout(rows, columns, each, height, beside, above, right, below, width)


def subplots(layout: Layout, count: int, strips: int = 0) -> tuple[Figure, list[Axes]]:
    """Make a figure with the first `count` axes of the layout, in reading order.

    Below them, `strips` low axes are as wide as all columns; they follow in the list.
    """
    engine = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.05)
    width, height = layout.size
    figure = NotebookFigure(figsize=(width, height + strips * (STRIP + WORDS)), layout=engine)
    # Until it is drawn, axes of about the size that the layout will give them: marks, ticks
    # and line breaks are chosen by it. 0.2 is matplotlib's space between subplots.
    grid = figure.add_gridspec(
        layout.rows + strips,
        layout.columns,
        left=0.0,
        bottom=0.0,
        right=layout.width * (1.2 * layout.columns - 0.2) / width,
        top=layout.height * (1.2 * layout.rows - 0.2) / height,
        height_ratios=[layout.height] * layout.rows + [STRIP] * strips,
    )
    places = [grid[divmod(i, layout.columns)] for i in range(count)]
    places += [grid[layout.rows + i, :] for i in range(strips)]
    return figure, [figure.add_subplot(place) for place in places]


def fit_height(figure: Figure, axes: Sequence[Axes], layout: Layout) -> None:
    """Make a figure of a given width as high as it must be for axes of the planned height."""
    if layout.paper is None:
        return
    figure.draw_without_rendering()
    lowest = min(ax.get_window_extent().height for ax in axes) / figure.dpi
    height = figure.get_figheight() + layout.rows * (layout.height - lowest)
    figure.set_figheight(min(height, LENGTH))


def add_words(figure: Figure, sentences: Sequence[str], handles: Sequence[Artist]) -> None:
    """Say above all axes what the figure shows, explain its marks below, and make it higher."""
    add_legend(figure, handles, length=3.2)  # so that dashes show
    words: list[Artist] = [*figure.legends]
    if sentences:
        letters = int(72 * figure.get_figwidth() / (0.6 * points(TEXT)))
        filled = [textwrap.fill(one, letters, break_on_hyphens=False) for one in sentences]
        text = "\n".join(filled)
        words.append(figure.suptitle(text, x=0.01, ha="left", fontsize=TEXT, color=INK))
    heights = [word.get_window_extent().height / figure.dpi for word in words]
    planned = 1.4 * points(TEXT) / 72  # a legend of one line
    figure.set_figheight(figure.get_figheight() + max(sum(heights) - planned, 0.0))


def add_legend(figure: Figure, handles: Sequence[Artist], length: float = 2.0) -> None:
    """Explain marks below all axes, in as many columns as fit; `length` letters long."""
    if not handles:
        return
    letter = 0.55 * points(TEXT)
    lines = [line for handle in handles for line in str(handle.get_label()).split("\n")]
    longest = letter * (max(map(len, lines)) + 6)
    columns = max(int(72 * figure.get_figwidth() / longest), 1)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        handlelength=length,
        frameon=False,
        fontsize=TEXT,
    )
