"""The live view: what it shows, where it fits, how it is drawn, and when it reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import seaborn as sns
from rich.console import Console
from rich.text import Text

from study import live
from study.live import (
    BEST,
    DIVERGED,
    MAKO,
    Layout,
    LivePanel,
    LiveRecord,
    LiveView,
    _shade,
    can_show,
    draw,
    layout,
    live_record,
)
from study.store import CellMean, PanelProgress
from study.terminal import ProgressBar
from tests.conftest import make_study

STUDY = make_study(seeds=2)  # sgd and adamw, α 0.05 and 0.1, λ 0, 0.001 and 0.01
MEANS = [
    CellMean("sgd", 0.05, 0.0, seeds=2, error=4.0, diverged=0),
    CellMean("sgd", 0.05, 0.01, seeds=2, error=2.5, diverged=0),
    CellMean("sgd", 0.1, 0.01, seeds=1, error=1.0, diverged=1),
    CellMean("sgd", 0.3, 0.01, seeds=2, error=0.0, diverged=0),  # no such cell in this study
    CellMean("adamw", 0.1, 0.0, seeds=1, error=90.0, diverged=1),
]


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def console(
    width: int = 80, height: int = 24, *, file: io.StringIO | None = None, **environment: str
) -> Console:
    """A terminal of so many characters."""
    variables = {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment
    return Console(file=file or Terminal(), width=width, height=height, _environ=variables)


def progress(panel: str, finished: int = 0, *, failed: int = 0, running: int = 0) -> PanelProgress:
    return PanelProgress(panel, 12, finished, 0, failed, running, None, 0.0)


PROGRESS = [progress("sgd", 5, failed=2), progress("adamw", 1, running=2)]


def squares(count: int = 4, side: int = 12, running: int | None = None) -> list[LivePanel]:
    """Panels of side × side cells without results."""
    return [
        LivePanel(str(i), (side, side), True, (), (), None, ("", ""), 0, 1, running == i)
        for i in range(count)
    ]


def picture(record: LiveRecord, width: int = 80, height: int = 24) -> str:
    """What is drawn, with its escape sequences."""
    shown = console(width, height)
    table = draw(record, width, height)
    with shown.capture() as capture:
        if table is not None:
            shown.print(table)
    return capture.get()


def lines(record: LiveRecord, width: int = 80, height: int = 24) -> list[str]:
    """What is drawn, without colours."""
    plain = Text.from_ansi(picture(record, width, height)).plain
    return [line.rstrip() for line in plain.splitlines()]


# ---- what is shown ------------------------------------------------------------------------------


def test_the_record_says_what_is_shown():
    assert live_record(STUDY, PROGRESS, MEANS) == LiveRecord(
        panels=(
            LivePanel(
                name="sgd",
                shape=(2, 3),
                zero_apart=True,
                error=(((0, 0), 4.0), ((0, 2), 2.5), ((1, 2), 1.0)),
                diverged=((1, 2),),
                best=(0, 2),
                news=("best 2.50 % at", "α 0.05 λ 0.01"),
                done=7,
                total=12,
                running=False,
            ),
            LivePanel(
                name="adamw",
                shape=(2, 3),
                zero_apart=True,
                error=(((1, 0), 90.0),),
                diverged=((1, 0),),
                best=None,
                news=("all diverged so far", ""),
                done=1,
                total=12,
                running=True,
            ),
        ),
        scale=(2.5, 5.5),
    )


def test_before_the_first_result():
    sgd, adamw = live_record(STUDY, [], []).panels
    assert (sgd.news, sgd.best, sgd.error) == (("nothing finished", ""), None, ())
    assert (adamw.done, adamw.total, adamw.running) == (0, 0, False)


def test_of_equal_cells_the_smaller_alpha_then_lambda_is_best():
    tied = [CellMean("sgd", a, el, 1, 3.0, 0) for a in (0.1, 0.05) for el in (0.01, 0.001)]
    assert live_record(STUDY, [], tied).panels[0].best == (0, 1)


def test_a_column_is_set_apart_only_for_zero_among_others():
    for lambdas in ((0.0,), (0.1, 0.2)):
        (panel,) = live_record(make_study(pairs=("sgd",), lambdas=lambdas), [], []).panels
        assert not panel.zero_apart


# ---- where it is shown --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("panels", "size", "expected"),
    [
        (squares(4), (80, 21), Layout(1, 4, range(4))),
        (squares(4), (120, 37), Layout(2, 4, range(4))),
        (squares(4), (79, 31), Layout(2, 2, range(4))),
        (squares(4), (60, 19), Layout(1, 2, range(4))),  # not three and one
        (squares(4), (60, 12), Layout(1, 3, range(3))),
        (squares(4, running=2), (60, 12), Layout(1, 3, range(1, 4))),
        (squares(4, running=2), (20, 12), Layout(1, 1, range(2, 3))),
        (squares(4), (18, 12), Layout(1, 0, range(0))),
        (squares(4), (80, 8), Layout(1, 0, range(0))),
        (squares(1, side=100), (80, 40), Layout(1, 0, range(0))),
    ],
)
def test_as_many_panels_as_fit(panels: list[LivePanel], size: tuple[int, int], expected: Layout):
    assert layout(panels, *size) == expected


@pytest.mark.parametrize("width", [10, 60, 80, 120])
@pytest.mark.parametrize("height", [3, 12, 15, 24, 40])
@pytest.mark.parametrize("side", [3, 12, 25])
def test_it_never_outgrows_the_terminal(width: int, height: int, side: int):
    shown = lines(LiveRecord(tuple(squares(5, side)), (2.0, 5.0)), width, height)
    assert len(shown) <= max(height - 2, 0)  # the bar, and a line that stays free
    assert all(len(line) <= width for line in shown)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, True),
        ({"COLORTERM": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "linux", "COLORTERM": ""}, False),
        ({"NO_COLOR": "1"}, False),
    ],
    ids=["true colour", "256 colours", "dumb", "16 colours", "no colour"],
)
def test_it_needs_colours(environment: dict[str, str], shown: bool):
    assert can_show(console(**environment)) is shown


def test_it_needs_a_terminal_even_where_colour_is_forced():
    assert not can_show(console(file=io.StringIO(), FORCE_COLOR="1"))


def test_it_needs_block_characters():
    class Ascii(Terminal):
        encoding = "ascii"  # type: ignore[assignment]

    assert not can_show(console(file=Ascii()))


# ---- how it is drawn ----------------------------------------------------------------------------


def test_the_colours_are_makos():
    mako = sns.color_palette("mako", as_cmap=True)
    for i, color in enumerate(MAKO):
        exact = mako(0.2 + 0.75 * i / (len(MAKO) - 1))[:3]
        assert color == pytest.approx([255 * part for part in exact], abs=1)


def test_shades_lie_between_the_anchors_and_are_clipped():
    assert _shade(0.0) == _shade(-1.0) == MAKO[0]
    assert _shade(1.0) == _shade(7.0) == MAKO[-1]
    assert _shade(1 / 16) == (60, 52, 106)  # half way from the first to the second


def test_rows_go_upwards_zero_is_apart_and_captions_stand_below():
    shown = lines(live_record(STUDY, PROGRESS, MEANS))
    assert shown == [
        "·· ··▀▀             ▀▀ ····",
        "▀▀ ··▀▀             ·· ····",
        "sgd 7/12            adamw 1/12",
        "best 2.50 % at      all diverged so far",
        "α 0.05 λ 0.01",
        "error 2.50 % ▀▀▀▀▀▀▀▀ 5.50 %   ■ best   α ↑ λ →   ■ diverged",
    ]


def test_two_rows_share_a_line_where_there_is_less_room():
    panels = live_record(STUDY, PROGRESS, MEANS).panels
    shown = lines(LiveRecord(panels, (2.5, 5.5)), 80, 7)
    assert shown[0] == "▄ ·▀                ▀ ··"


def test_cells_have_the_colours_of_their_error_best_and_diverged_their_own():
    def code(color: tuple[int, int, int]) -> str:
        return ";".join(map(str, color))

    diverged, worse = picture(live_record(STUDY, PROGRESS, MEANS)).splitlines()[:2]
    assert f"\x1b[38;2;{code(DIVERGED)};48;2;{code(DIVERGED)}m▀▀" in diverged
    assert f"\x1b[38;2;{code(BEST)};48;2;{code(BEST)}m▀▀" in worse
    assert f"\x1b[38;2;{code(_shade(0.5))};48;2;{code(_shade(0.5))}m▀▀" in worse


def test_long_names_are_cut_but_never_their_count():
    panel = replace(squares(1)[0], name="a-very-long-panel-name", done=1234, total=9999)
    shown = lines(LiveRecord((panel,), (0.0, 3.0)), 60, 12)
    assert shown[6] == "a-very-l… 1234/9999"


def test_hidden_panels_are_told():
    shown = lines(LiveRecord(tuple(squares(4, running=3)), (0.0, 3.0)), 60, 15)
    assert shown[-1] == "panels 2–4 of 4   α ↑ λ →"


# ---- when it reads ------------------------------------------------------------------------------


class Reader:
    """Counts how often it is read."""

    def __init__(self, work: Callable[[], None] = lambda: None) -> None:
        self.count, self.work = 0, work

    def __call__(self) -> list[CellMean]:
        self.count += 1
        self.work()
        return MEANS


class Clock:
    """Stands in for time.monotonic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(live.time, "monotonic", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_it_reads_when_something_was_finished():
    read = Reader()
    view = LiveView(STUDY, read)
    view([progress("sgd", running=2), progress("adamw")])
    assert read.count == 0
    assert view.record.panels[0].running
    for _ in range(3):
        view(PROGRESS)
    assert read.count == 1
    assert view.record == live_record(STUDY, PROGRESS, MEANS)


def test_reading_takes_two_percent_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    read = Reader(lambda: clock.wait(0.1))
    view = LiveView(STUDY, read)
    for finished in range(1, 11):
        view([progress("sgd", finished), progress("adamw")])
        clock.wait(1)
    assert read.count == 2  # 5 seconds apart
    clock.wait(5)
    view([progress("sgd", 10), progress("adamw")])
    assert read.count == 3


def test_the_last_picture_is_whole(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    read = Reader(lambda: clock.wait(0.1))
    view = LiveView(STUDY, read)
    view([progress("sgd", 11), progress("adamw", 12)])
    view([progress("sgd", 11, failed=1), progress("adamw", 12)])
    assert read.count == 1  # a failed cell is no news
    view([progress("sgd", 12), progress("adamw", 12)])
    assert read.count == 2


# ---- in a terminal, above the bar ---------------------------------------------------------------


def test_view_and_bar_are_drawn_over_and_their_last_state_stays():
    shown = console(80, 24)
    with ProgressBar(shown, 24, 0, LiveView(STUDY, Reader())) as bar:
        bar(PROGRESS)
        bar(PROGRESS)
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    up = "\x1b[1A\x1b[2K"
    assert text.count("best 2.50 % at") == 3  # twice, and once more at the end
    assert text.count(up) == 3 * 6  # six lines above the bar
    assert text.rindex("8 of 24 cells") > text.rindex("best 2.50 % at") > text.rindex(up)
    assert text.endswith("\n\x1b[?25h")  # below it all, with the cursor back


def test_an_echoed_ctrl_c_does_not_break_the_bar():
    shown = console(80, 24)
    with ProgressBar(shown, 24, 0) as bar:
        bar(PROGRESS)
    plain = Text.from_ansi(shown.file.getvalue()).plain  # type: ignore[attr-defined]
    assert "8 of 24 cells" in plain
    assert max(map(len, plain.splitlines())) == 80 - 3


def test_a_pipe_gets_neither_view_nor_bar():
    file = io.StringIO()
    with ProgressBar(console(file=file), 24, 0, LiveView(STUDY, Reader())) as bar:
        bar(PROGRESS)
    assert file.getvalue() == ""
