"""The live view: the panels of a running study as small heatmaps that fill, in a terminal.

Two steps, as for figures: `live_record` says what is shown, `draw` shows it. Colours go from
dark (the best so far) to pale (12 times what matters worse, or more); what is not finished stays
a dot. At zoom 1 a cell is one character wide and half a line high, at zoom 2 twice that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.table import Table
from rich.text import Text

from landscape_study.study.console.live_record import LivePanel, LiveRecord, RowCol, live_record

if TYPE_CHECKING:
    from landscape_study.study.spec.study import Study
    from landscape_study.study.store import CellMean, PanelProgress

LOOKING = 0.01  # of the time may go into reading the database

RGB = tuple[int, int, int]

# seaborn's map mako from 0.2 to 0.95 in equal steps: its ends would vanish in a black and in a
# white terminal. The marks are warm, so that they stand out from it to every eye.
MAKO: tuple[RGB, ...] = (
    (56, 42, 84),
    (65, 62, 127),
    (58, 89, 154),
    (53, 117, 161),
    (52, 144, 168),
    (57, 171, 172),
    (79, 197, 173),
    (139, 218, 178),
    (198, 235, 209),
)
BEST: RGB = (255, 165, 0)
DIVERGED: RGB = (140, 50, 40)

CAPTION = 19  # characters: "α 0.00098 λ 0.00098"
CAPTION_LINES = 3
FOOT = 3  # lines below the heatmaps: their legend, the bar, and one that stays free


@dataclass(frozen=True)
class Layout:
    """How panels are laid out in a terminal."""

    zoom: int
    columns: int
    shown: range  # of the panels; empty where there is room for none


# ---- where it is shown ------------------------------------------------------------------------


def can_show(console: Console) -> bool:
    """Whether this is a terminal with the colours and characters that the view needs."""
    return (
        console.file.isatty()
        and console.is_interactive  # not a dumb one
        and console.color_system in ("256", "truecolor")
        and not console.no_color
        and console.encoding.startswith("utf")
    )


def layout(panels: Sequence[LivePanel], width: int, height: int) -> Layout:
    """Choose zoom and columns so that as many panels as possible fit into so many characters.

    Where not all of them fit, those from the first one in training onwards are shown, and at
    the end the last ones, which were shown just before.
    """
    for zoom in (2, 1):
        columns = (width + 1) // (_slot(panels, zoom) + 1)
        rows = (height + 1) // (_lines(panels, zoom) + 1)
        if columns * rows >= len(panels):
            break
    count = min(columns * rows, len(panels))
    if count == 0:
        return Layout(zoom, 0, range(0))
    over = all(panel.done == panel.total > 0 for panel in panels)
    running = (i for i, panel in enumerate(panels) if panel.running)
    first = min(next(running, len(panels) if over else 0), len(panels) - count)
    columns = -(-count // -(-count // columns))  # as many in every row
    return Layout(zoom, columns, range(first, first + count))


def _slot(panels: Sequence[LivePanel], zoom: int) -> int:
    """Characters that a panel is wide."""
    widest = max(panel.shape[1] * zoom + panel.zero_apart for panel in panels)
    return max(widest, CAPTION)


def _lines(panels: Sequence[LivePanel], zoom: int) -> int:
    """Lines that a panel is high."""
    return max(-(-panel.shape[0] * zoom // 2) for panel in panels) + CAPTION_LINES


# ---- showing it -------------------------------------------------------------------------------


def draw(record: LiveRecord, width: int, height: int) -> Table | None:
    """Draw the record into so many characters and lines; None where there is room for nothing."""
    plan = layout(record.panels, width, height - FOOT)
    if not plan.shown:
        return None
    slot = _slot(record.panels, plan.zoom)
    heatmaps = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    for _ in range(plan.columns):
        heatmaps.add_column(width=slot, no_wrap=True, vertical="bottom")
    shown = [_heatmap(record.panels[i], record.scale, plan.zoom, slot) for i in plan.shown]
    for i in range(0, len(shown), plan.columns):
        if i:
            heatmaps.add_row("")
        heatmaps.add_row(*shown[i : i + plan.columns])
    whole = Table.grid()
    whole.add_row(heatmaps)
    whole.add_row(_legend(record, plan.shown, width))
    return whole


def _heatmap(panel: LivePanel, scale: tuple[float, float], zoom: int, slot: int) -> Text:
    """The cells of a panel in half blocks, two rows of squares a line, and what they give."""
    colors = _colors(panel, scale)
    text = Text(no_wrap=True)
    rows = [row for row in reversed(range(panel.shape[0])) for _ in range(zoom)]
    for upper, lower in zip(rows[::2], [*rows[1::2], -1], strict=False):
        for col in range(panel.shape[1]):
            block = _block(colors.get((upper, col)), colors.get((lower, col)))
            text.append(block[0] * zoom, block[1])
            if panel.zero_apart and col == 0:
                text.append(" ")
        text.append("\n")
    count = f" {panel.done}/{panel.total}"
    name = Text(panel.name, "bold")
    name.truncate(slot - len(count), overflow="ellipsis")
    return text.append_text(name).append(count).append("\n" + "\n".join(panel.news), "dim")


def _colors(panel: LivePanel, scale: tuple[float, float]) -> dict[RowCol, RGB]:
    """The colours of the finished cells."""
    best, worst = scale
    colors = {cell: _shade((value - best) / (worst - best)) for cell, value in panel.error}
    colors |= dict.fromkeys(panel.diverged, DIVERGED)
    return colors | ({panel.best: BEST} if panel.best else {})


def _shade(position: float) -> RGB:
    """The colour at a position from 0 (best) to 1, clipped."""
    place = min(max(position, 0.0), 1.0) * (len(MAKO) - 1)
    below, above = list(pairwise(MAKO))[min(int(place), len(MAKO) - 2)]
    part = place - min(int(place), len(MAKO) - 2)
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(below, above, strict=True))
    return red, green, blue


@lru_cache(maxsize=4096)
def _block(upper: RGB | None, lower: RGB | None) -> tuple[str, Style]:
    """The character that shows two squares, one above the other; None is an unfinished one."""
    if upper is None and lower is None:
        return "·", Style(dim=True)
    if upper is None or lower is None:
        return "▄" if upper is None else "▀", Style(color=_rich(upper or lower))
    return "▀", Style(color=_rich(upper), bgcolor=_rich(lower))


def _rich(color: RGB | None) -> Color | None:
    return Color.from_rgb(*color) if color else None


def _legend(record: LiveRecord, shown: range, width: int) -> Text:
    """What the colours mean; of its parts as many as fit into the width."""
    text = Text(no_wrap=True)
    for part in _legend_parts(record, shown):
        if len(text) + len(part) + 3 <= width:
            text.append("   " if text else "").append_text(part)
    return text


def _legend_parts(record: LiveRecord, shown: range) -> Iterator[Text]:
    """The parts, what matters most first."""
    if len(shown) < len(record.panels):
        yield Text(f"panels {shown.start + 1}–{shown.stop} of {len(record.panels)}", "dim")
    best, worst = map(record.metric.told, record.scale)
    if any(panel.best for panel in record.panels):
        bar = Text(f"{record.metric.noun} {best} ", "dim")
        for i in range(8):
            bar.append("▀", _block(_shade(i / 7), _shade(i / 7))[1])
        yield bar.append(f" {worst}")
        yield Text().append("■", _block(BEST, None)[1]).append(" best", "dim")
    yield Text(f"{record.symbols[0]} ↑ {record.symbols[1]} →", "dim")
    if any(panel.diverged for panel in record.panels):
        yield Text().append("■", _block(DIVERGED, None)[1]).append(" diverged", "dim")


class LiveView:
    """The heatmaps of a running study, as a rich renderable.

    Call it with the progress of the study's panels; it reads the cells when more of them are
    finished than at its last look, unless that look was so short ago that looking again would
    take more than `LOOKING` of the time.
    """

    def __init__(self, study: Study, read: Callable[[], list[CellMean]]) -> None:
        self.study, self.read = study, read
        self.means: list[CellMean] = []
        self.progress: Sequence[PanelProgress] = []
        self.seen, self.next_look = 0, 0.0  # finished cells; on the monotonic clock

    def __call__(self, progress: Sequence[PanelProgress]) -> None:
        """Show this progress when drawn next."""
        self.progress = progress
        finished = sum(p.finished for p in progress)
        over = sum(p.ended for p in progress) == sum(p.total for p in progress)
        if finished != self.seen and (over or time.monotonic() >= self.next_look):
            self._look(finished)

    def _look(self, finished: int) -> None:
        started = time.monotonic()
        self.means, self.seen = self.read(), finished
        ended = time.monotonic()
        self.next_look = ended + (ended - started) / LOOKING

    @property
    def record(self) -> LiveRecord:
        """What is shown by now."""
        return live_record(self.study, self.progress, self.means)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawn = draw(self.record, options.max_width, console.height)
        if drawn is not None:
            yield drawn
