"""What the figures share: readable numbers, axis titles, sizes, saving."""

from __future__ import annotations

import difflib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axis import Axis as MplAxis
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from landscape_study.landscapes.figures.mako import MAKO
from landscape_study.landscapes.reading.landscape import Landscape, RowCol
from landscape_study.study.errors import StoreError, UsageError
from landscape_study.study.pairs.registry import known_pair
from landscape_study.study.records.witness_record import MARK
from landscape_study.study.spec.cell_numbers import ALPHA, LAMBDA, number_called
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis

# Sizes relative to rcParams["font.size"], so that a user's own style scales them.
TITLE, TEXT, TICK = "medium", "small", "x-small"
INK = "0.15"  # dark grey of marks and text
FAINT = "0.75"  # light grey of frames
ALARM = "#B00020"  # of words that must not be overlooked

# Of pairs, in the order of their appearance: the Okabe-Ito palette, which the colour-blind can
# tell apart. Where cells of a pair have shades, these are the maps that go with them.
HUES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHADES = ("Oranges", "Blues", "Greens", "Purples", "YlOrBr", "GnBu")

SUFFIXES = (".png", ".pdf", ".svg")
_LONGEST = 7  # characters of a decimal tick label
_HIGHEST = 13  # exponent up to which powers of two are written out: 8192
_DECADES = 300  # end over start of an axis, below which more than powers of ten are written
_PLAIN = (1e-3, 1e5)  # ends of axes that are written without powers of ten
_WHOLLY = 9  # significant digits of what is written out
_DIGITS = 3  # significant ones, that the ticks of most axes need
_FEW = 4  # ticks of an axis whose numbers are long
_LONG = 300  # epochs
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class NotebookFigure(Figure):
    """A figure outside pyplot that a notebook shows even in the cell that imports matplotlib.

    Before that cell has ended, IPython does not know yet how to show a plain Figure; a pyplot
    figure would be shown twice, as the cell's value and as an open figure.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def points(size: str) -> float:
    """Convert a relative font size to points."""
    return FontProperties(size=size).get_size_in_points()


def colormap(cmap: str | Colormap, metric: Metric = TEST_ERROR) -> Colormap:
    """Look up a colour map of matplotlib or seaborn by its name; it begins at the best values.

    Raises:
        UsageError: no map has this name.
    """
    if isinstance(cmap, Colormap):
        return cmap if metric.sign > 0 else cmap.reversed()
    if cmap == MAKO.name:
        return colormap(MAKO, metric)
    if cmap not in mpl.colormaps:
        import seaborn  # noqa: F401  (registers its maps)
    if cmap not in mpl.colormaps:
        close = difflib.get_close_matches(cmap, mpl.colormaps, n=3) or ["mako", "viridis", "jet"]
        raise UsageError(f"unknown colour map '{cmap}': try {', '.join(close)}")
    return colormap(mpl.colormaps[cmap], metric)


def power(base: int, exponent: int) -> str:
    """(2, -10) → "2⁻¹⁰"."""
    return f"{base}{str(exponent).translate(_SUPERSCRIPTS)}"


def binary_exponent(value: float) -> int | None:
    """Return k where `value` is 2^k (to rounding), else None."""
    k = math.log2(value)
    return round(k) if abs(k - round(k)) < 1e-9 else None


def number(value: float) -> str:
    """Write a multiplier, exact where it can be short: 0.05, 2.5·10⁻⁵, 2⁻¹⁰."""
    k = binary_exponent(value)
    if k is not None and not math.isclose(float(f"{value:.4g}"), value, rel_tol=1e-9):
        return power(2, k)
    return decimal(value, 4)


def decimal(value: float, digits: int = 3) -> str:
    """`value` to so many digits, powers of ten written out: "0.025", "2.5·10⁻⁵"."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    if not e:
        return mantissa
    ten = power(10, int(exponent))
    return ten if mantissa == "1" else f"{mantissa}·{ten}"


def fraction(k: int) -> str:
    """2^k as the paper writes it: "4", "1", "1/1024"."""
    if abs(k) > _HIGHEST:
        return power(2, k)
    return str(2**k) if k >= 0 else f"1/{2**-k}"


@dataclass(frozen=True)
class Ticks:
    """How the values of an axis are written, one entry per value."""

    labels: tuple[str, ...]  # at the ticks: value / multiplier
    names: tuple[str, ...]  # in a sentence: "1/64 × 0.1"
    multiplier: float  # into the axis title


def row_ticks(landscape: Landscape) -> Ticks:
    """How the values of the axis upwards are written."""
    return ticks(landscape.rows, landscape.grid.rows, landscape.names[0])


def column_ticks(landscape: Landscape) -> Ticks:
    """How the values of the axis to the right are written."""
    return ticks(landscape.columns, landscape.grid.columns, landscape.names[1])


def cell_name(landscape: Landscape, cell: RowCol) -> str:
    """A cell as a person says it: "α = 1/16, λ = 1/64"."""
    row, col = row_ticks(landscape).names[cell[0]], column_ticks(landscape).names[cell[1]]
    up, across = landscape.symbols
    return f"{up} = {row}, {across} = {col}"


def ticks(axis: Axis, grid: Axis | None = None, name: str = ALPHA) -> Ticks:
    """Write powers of two of the base where all values are such, else decimals.

    Those of a grid are written as without the values between them, which are decimals. Shares
    such as β2, and whole numbers, are written out.
    """
    if number_called(name).whole or number_called(name).scale == "share":
        labels = tuple(f"{value:.{_WHOLLY}g}" for value in axis.values)
        return Ticks(labels, labels, 1.0)
    if grid is not None and grid.values != axis.values:
        known = ticks(grid)
        own = dict(zip(grid.values, zip(known.labels, known.names, strict=True), strict=True))
        written = [
            own.get(value, (decimal(value / known.multiplier), decimal(value)))
            for value in axis.values
        ]
        labels, names = zip(*written, strict=True)
        return Ticks(labels, names, known.multiplier)
    zero = ("0",) if axis.values[0] == 0 else ()
    exponents = [binary_exponent(value / axis.base) for value in axis.positive]
    powers = [k for k in exponents if k is not None]
    write = _fractions if len(powers) == len(exponents) else _decimals
    found = write(axis)
    return Ticks(zero + found.labels, zero + found.names, found.multiplier)


def _fractions(axis: Axis) -> Ticks:
    """1, 1/2, 1/4 … of the base; of 1 where the base too is a power of two and it stays short."""
    own = binary_exponent(axis.base)
    base = axis.base
    if own is not None and all(abs(math.log2(value)) < _HIGHEST + 0.5 for value in axis.positive):
        base = 1.0
    labels = tuple(fraction(round(math.log2(value / base))) for value in axis.positive)
    factor = number(base)
    names = [factor if label == "1" else f"{label} × {factor}" for label in labels]
    return Ticks(labels, labels if base == 1 else tuple(names), base)


def _decimals(axis: Axis) -> Ticks:
    """Short decimals of the base; where a power of ten makes long ones shorter, they share it."""
    base = axis.base
    labels = [decimal(value / base) for value in axis.positive]
    if any(len(label) > _LONGEST or "⁻" in label for label in labels):
        scaled = base * 10.0 ** math.floor(math.log10(axis.positive[-1] / base))
        shorter = [decimal(value / scaled) for value in axis.positive]
        if max(map(len, shorter)) < max(map(len, labels)):
            base, labels = scaled, shorter
    return Ticks(tuple(labels), tuple(decimal(value) for value in axis.positive), base)


def row_title(landscape: Landscape, axis: Axis) -> str:
    """Title of the axis upwards, if its values are written by those of `axis`."""
    return _title(landscape, 0, axis)


def column_title(landscape: Landscape, axis: Axis) -> str:
    """Title of the axis to the right, likewise."""
    return _title(landscape, 1, axis)


def _title(landscape: Landscape, along: int, axis: Axis) -> str:
    name = landscape.names[along]
    if name == ALPHA:
        return alpha_title(axis)
    if name == LAMBDA:
        return lambda_title(axis, landscape.pair, landscape.normalized)
    return number_called(name).symbol + _times(axis, name)


def alpha_title(alpha: Axis) -> str:
    """Title of the α axis: "initial learning rate α (× 0.1)"."""
    return "initial learning rate α" + _times(alpha)


def lambda_title(lambda_: Axis, pair: str, normalized: bool) -> str:
    """Title of the λ axis: "L2 factor λ (× 0.001)" or "weight decay λ (× 0.001)"."""
    known = known_pair(pair)
    is_l2 = known is not None and not known.is_optimizer and known.entering.in_gradient
    name = "L2 factor λ" if is_l2 else "weight decay λ"
    return ("normalized " if normalized else "") + name + _times(lambda_)


def _times(axis: Axis, name: str = ALPHA) -> str:
    multiplier = ticks(axis, name=name).multiplier
    return "" if multiplier == 1 else f" (× {number(multiplier)})"


def alarm(texts: Iterable[Text]) -> None:
    """Colour the texts that bear the mark of a panel whose witness disagrees."""
    for text in texts:
        if MARK in text.get_text():
            text.set_color(ALARM)


def line_width(epochs: int) -> float:
    """Points of a learning curve's line: long curves are crowded with noise."""
    return 1.2 if epochs <= _LONG else 0.7


def log_axis(axis: MplAxis) -> None:
    """Make an axis logarithmic, with numbers that people read: 3, 0.02, 2·10⁻⁴.

    Call it when the limits are known: 2 and 5 are written where there is room for them.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    log_ticks(axis)


def log_ticks(axis: MplAxis) -> None:
    """Write the numbers of `log_axis` on an axis that is logarithmic already."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,)))
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    digits = _telling_digits(low, high)
    if digits > _DIGITS:  # hardly a power of ten among them
        axis.set_major_locator(MaxNLocator(_FEW))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: decimal(value, digits))
    if high < _DECADES * low:
        axis.set_minor_formatter(lambda value, _: decimal(value, digits))
    else:
        axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="both", length=3)


def value_axis(axis: MplAxis) -> None:
    """Write each number of a linear axis in full: 1030.2, 1.03·10⁶; none is added to all of them.

    Call it when the limits are known.
    """
    low, high = axis.get_view_interval()
    if _PLAIN[0] <= max(abs(low), abs(high)) < _PLAIN[1]:
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
    else:
        digits = _telling_digits(low, high)
        axis.set_major_formatter(lambda value, _: decimal(value, digits))


def _telling_digits(low: float, high: float) -> int:
    """Significant digits that tell the ticks of an axis apart: 3, or more if it is narrow."""
    largest = max(abs(low), abs(high))
    if not 0 < high - low < math.inf:
        return _DIGITS
    return max(_DIGITS, math.ceil(math.log10(largest / (high - low))) + 2)


def save(figure: Figure, path: Path | str, *, dpi: float = 200) -> Path:
    """Write `figure` as PNG, PDF or SVG, by the suffix of `path`; return the path.

    Folders are made. The file is as large as the figure, or as what is drawn where no layout
    engine is at work. PDF embeds its fonts, SVG keeps text as text, and the same figure gives
    the same file.

    Raises:
        UsageError: a suffix other than these.
        StoreError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: cannot write '{path.suffix}' figures: "
            f"name a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    buffer = io.BytesIO()
    _write(figure, buffer, suffix, dpi)
    return write_file(path, buffer.getvalue())


def svg(figure: Figure) -> str:
    """The figure as SVG, as `save` writes it."""
    buffer = io.BytesIO()
    _write(figure, buffer, ".svg", dpi=72)
    return buffer.getvalue().decode()


def _write(figure: Figure, buffer: io.BytesIO, suffix: str, dpi: float) -> None:
    stamp = {".png": None, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}[suffix]
    # A layout engine has placed everything within the figure; cutting it would change the width.
    box: Any = "tight" if figure.get_layout_engine() is None else None
    fonts: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "landscapes"}
    with mpl.rc_context(fonts):
        figure.savefig(
            buffer,
            format=suffix[1:],
            dpi=dpi,
            bbox_inches=box,
            pad_inches=0.05,
            metadata=stamp,
        )


def write_file(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it; return its path.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as e:
        raise StoreError(f"{path}: cannot be written ({e.strerror}): name another file") from e
    return path
