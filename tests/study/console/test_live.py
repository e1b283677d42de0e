"""The live view: what it shows, where it fits, how it is drawn, how often it reads."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from landscape_study.study.console import live
from landscape_study.study.console.live import (
    BEST,
    DIVERGED,
    FOOT,
    MAKO,
    Layout,
    LiveView,
    can_show,
    draw,
    layout,
)
from landscape_study.study.console.live_record import LivePanel, LiveRecord, live_record
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import CellMean, PanelProgress
from tests.conftest import Terminal, make_study

RGB = tuple[int, int, int]


def make_progress(panel: str, finished: int, total: int = 6, *, running: int = 0) -> PanelProgress:
    """Progress of a panel without failures."""
    return PanelProgress(panel, total, finished, 0, 0, running, best=None, seconds=1.0)


def make_panel(shape: tuple[int, int] = (11, 12), **changes: object) -> LivePanel:
    """A panel of which nothing is finished."""
    empty = LivePanel("adamw", shape, True, (), (), None, ("nothing finished", ""), 0, 132, False)
    return replace(empty, **changes)  # type: ignore[arg-type]


def drawn(record: LiveRecord, width: int = 80, height: int = 24) -> list[list[Segment]]:
    """The lines of the drawing, blanks at their ends cut off."""
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=width,
        height=height,
        legacy_windows=False,
    )
    table = draw(record, width, height)
    assert table is not None
    return console.render_lines(table, pad=False)


def texts(lines: list[list[Segment]]) -> list[str]:
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def squares(line: list[Segment]) -> list[tuple[str, RGB | None, RGB | None]]:
    """The characters of a line with the colours of their upper and lower part."""
    return [
        (char, _rgb(segment.style, "color"), _rgb(segment.style, "bgcolor"))
        for segment in line
        for char in segment.text
    ]


def _rgb(style: Style | None, which: str) -> RGB | None:
    color = getattr(style, which, None)
    return None if color is None or color.triplet is None else tuple(color.triplet)


class TestRecord:
    def test_a_study_not_begun(self):
        record = live_record(make_study(pairs=("sgd",)), [], [])
        panel = LivePanel(
            name="sgd",
            shape=(2, 3),
            zero_apart=True,
            error=(),
            diverged=(),
            best=None,
            news=("nothing finished", ""),
            done=0,
            total=0,
            running=False,
        )
        assert record == LiveRecord((panel,), (0.0, 3.0))

    def test_cells_beside_the_grid_are_shown_at_the_nearest_one(self):
        """Two at one place are the better one of them; λ = 0 is near to no other."""
        means = [
            CellMean("sgd", Cell(0.1, 0.001), seeds=2, error=5.0, diverged=0),
            CellMean("sgd", Cell(0.08, 0.0012), seeds=2, error=4.0, diverged=0),
            CellMean("sgd", Cell(0.06, 0.0012), seeds=2, error=3.0, diverged=1),
            CellMean("sgd", Cell(0.06, 0.0), seeds=2, error=7.0, diverged=0),
            CellMean(
                "sgd", Cell(0.3, 0.001), seeds=2, error=1.0, diverged=0
            ),  # an older version's
        ]
        (panel,) = live_record(make_study(pairs=("sgd",)), [], means).panels
        assert panel.error == (((0, 0), 7.0), ((0, 1), 3.0), ((1, 1), 4.0))
        assert panel.diverged == ((0, 1),)
        assert (panel.best, panel.news) == ((1, 1), ("best 4.00 % at", "α 0.08 λ 0.0012"))

    def test_what_a_sampler_asked_for_lies_on_a_usual_grid(self):
        study = make_study(pairs=("sgd",))
        study = study.change_panels(design={"sampler": "tpe", "trials": 20})
        means = [
            CellMean("sgd", Cell(0.0701, 0.0033), seeds=1, error=5.0, diverged=0),
            CellMean("sgd", Cell(0.05, 0.0), seeds=1, error=6.0, diverged=0),
        ]
        (panel,) = live_record(study, [], means).panels
        assert panel.shape == (9, 10)
        assert panel.zero_apart
        assert panel.error == (((0, 0), 6.0), ((4, 5), 5.0))
        assert panel.best == (4, 5)

    def test_errors_divergence_and_best_stand_where_their_cells_are(self):
        means = [
            CellMean("sgd", Cell(0.1, 0.001), seeds=2, error=5.0, diverged=0),
            CellMean("sgd", Cell(0.05, 0.01), seeds=1, error=4.0, diverged=1),
            CellMean("sgd", Cell(0.1, 0.0), seeds=2, error=7.5, diverged=0),
            CellMean("adamw", Cell(0.05, 0.0), seeds=1, error=4.5, diverged=0),
        ]
        progress = [make_progress("sgd", 5, 12, running=2), make_progress("adamw", 1, 12)]
        sgd = LivePanel(
            name="sgd",
            shape=(2, 3),
            zero_apart=True,
            error=(((0, 2), 4.0), ((1, 0), 7.5), ((1, 1), 5.0)),
            diverged=((0, 2),),
            best=(1, 1),  # not the better one where a seed diverged
            news=("best 5.00 % at", "α 0.1 λ 0.001"),
            done=5,
            total=12,
            running=True,
        )
        adamw = replace(
            sgd,
            name="adamw",
            error=(((0, 0), 4.5),),
            diverged=(),
            best=(0, 0),
            news=("best 4.50 % at", "α 0.05 λ 0"),
            done=1,
            running=False,
        )
        assert live_record(make_study(seeds=2), progress, means) == LiveRecord(
            (sgd, adamw), (4.5, 7.5)
        )

    def test_failed_cells_are_done_and_stay_open_on_the_map(self):
        progress = [replace(make_progress("sgd", 2), failed=4)]
        panel = live_record(make_study(pairs=("sgd",)), progress, []).panels[0]
        assert (panel.done, panel.total, panel.error) == (6, 6, ())

    def test_all_diverged(self):
        means = [CellMean("sgd", Cell(0.1, 0.0), seeds=1, error=90.0, diverged=1)]
        record = live_record(make_study(pairs=("sgd",)), [], means)
        assert record.panels[0].best is None
        assert record.panels[0].news == ("all diverged so far", "")
        assert record.scale == (0.0, 3.0)

    def test_cells_off_the_grid_are_left_out(self):
        means = [
            CellMean("sgd", Cell(0.3, 0.0), 1, 1.0, 0),
            CellMean("adam", Cell(0.1, 0.0), 1, 1.0, 0),
        ]
        assert live_record(make_study(), [], means) == live_record(make_study(), [], [])

    @pytest.mark.parametrize(
        ("lambdas", "apart"), [((0.0, 0.1), True), ((0.0,), False), ((0.1, 0.2), False)]
    )
    def test_zero_stands_apart_from_others_only(self, lambdas: tuple[float, ...], apart: bool):
        record = live_record(make_study(lambdas=lambdas), [], [])
        assert record.panels[0].zero_apart is apart


FIG2 = [make_panel()] * 4
LAYOUTS = {
    "80 × 24": (FIG2, 80, 24, Layout(1, 4, range(4))),
    "120 × 40": (FIG2, 120, 40, Layout(2, 4, range(4))),
    "60 × 15": (FIG2, 60, 15, Layout(1, 3, range(3))),
    "60 × 24": (FIG2, 60, 24, Layout(1, 2, range(4))),  # two rows of two, not three and one
    "200 × 60": (FIG2, 200, 60, Layout(2, 4, range(4))),
    "19 × 12": (FIG2, 19, 12, Layout(1, 1, range(1))),
    "too narrow": (FIG2, 18, 50, Layout(1, 0, range(0))),
    "too low": (FIG2, 200, 11, Layout(1, 0, range(0))),
    "tiny": (FIG2, 1, 1, Layout(1, 0, range(0))),
    "twenty panels": ([make_panel()] * 20, 80, 24, Layout(1, 4, range(8))),
    "one cell": ([make_panel((1, 1), zero_apart=False)], 80, 24, Layout(2, 1, range(1))),
    "wide": ([make_panel((3, 70))] * 2, 80, 24, Layout(1, 1, range(2))),
    "wider than the terminal": ([make_panel((3, 90))], 80, 24, Layout(1, 0, range(0))),
}


class TestLayout:
    @pytest.mark.parametrize(
        ("panels", "width", "height", "expected"), LAYOUTS.values(), ids=LAYOUTS
    )
    def test_as_many_panels_as_fit_as_large_as_possible(
        self, panels: list[LivePanel], width: int, height: int, expected: Layout
    ):
        assert layout(panels, width, height - FOOT) == expected

    @pytest.mark.parametrize(
        ("running", "shown"),
        [((), range(3)), ((1,), range(1, 4)), ((2, 4), range(2, 5)), ((4,), range(2, 5))],
    )
    def test_panels_in_training_are_shown(self, running: tuple[int, ...], shown: range):
        panels = [make_panel(running=i in running) for i in range(5)]
        assert layout(panels, 60, 12).shown == shown

    def test_at_the_end_the_last_panels_are_shown(self):
        assert layout([make_panel(done=132)] * 5, 60, 12).shown == range(2, 5)

    @pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 15), (19, 12)])
    @pytest.mark.parametrize("count", [1, 4, 9])
    def test_the_drawing_never_exceeds_the_terminal(self, width: int, height: int, count: int):
        record = LiveRecord((make_panel(best=(0, 0), error=(((0, 0), 1.0),)),) * count, (1, 4))
        lines = drawn(record, width, height)
        assert len(lines) <= height - 2  # one for the bar, one for the cursor
        assert max(len(text) for text in texts(lines)) <= width


class TestDraw:
    def test_a_filled_panel(self):
        """3 × 3 at zoom 1: the middle of the scale, its ends, beyond, best, diverged, open."""
        panel = LivePanel(
            name="sgd",
            shape=(3, 3),
            zero_apart=True,
            error=(((0, 0), 7.0), ((0, 1), 99.0), ((1, 0), 5.5), ((2, 0), 4.0), ((2, 1), 90.0)),
            diverged=((2, 1),),
            best=(2, 0),
            news=("best 4.00 % at", "α 0.1 λ 0"),
            done=5,
            total=9,
            running=True,
        )
        lines = drawn(LiveRecord((panel,), (4.0, 7.0)), 80, 8)
        pale, middle = MAKO[-1], MAKO[4]
        assert squares(lines[0])[:4] == [
            ("▀", BEST, middle),
            (" ", None, None),
            ("▀", DIVERGED, None),
            ("·", None, None),
        ]
        assert squares(lines[1])[:4] == [
            ("▀", pale, None),
            (" ", None, None),
            ("▀", pale, None),
            ("·", None, None),
        ]
        assert texts(lines)[2:] == [
            "sgd 5/9",
            "best 4.00 % at",
            "α 0.1 λ 0",
            "error 4.00 % ▀▀▀▀▀▀▀▀ 7.00 %   ■ best   α ↑ λ →   ■ diverged",
        ]

    def test_only_the_lower_of_two_squares_is_finished(self):
        panel = make_panel((2, 1), zero_apart=False, error=(((0, 0), 1.0),))
        lines = drawn(LiveRecord((panel,), (1.0, 4.0)), 19, 7)
        assert squares(lines[0])[0] == ("▄", MAKO[0], None)

    def test_at_zoom_2_a_cell_is_two_characters_in_a_line(self):
        panel = make_panel((2, 2), zero_apart=False, error=(((1, 0), 1.0),), best=(1, 0))
        lines = drawn(LiveRecord((panel,), (1.0, 4.0)), 80, 24)
        assert squares(lines[0])[:4] == [("▀", BEST, BEST)] * 2 + [("·", None, None)] * 2
        assert texts(lines)[1] == "····"

    def test_a_single_cell(self):
        panel = make_panel((1, 1), zero_apart=False, total=1)
        assert texts(drawn(LiveRecord((panel,), (0.0, 3.0)))) == [
            "··",
            "adamw 0/1",
            "nothing finished",
            "",
            "α ↑ λ →",
        ]

    def test_a_long_name_is_cut_and_the_count_is_not(self):
        panel = make_panel(name="sgd-cosine-normalized-100-epochs")
        assert "sgd-cosine-n… 0/132" in texts(drawn(LiveRecord((panel,), (0, 3)), 19, 12))[-4]

    def test_panels_that_do_not_fit_are_told(self):
        panels = tuple(make_panel(name=f"p{i}", running=i == 5) for i in range(9))
        lines = texts(drawn(LiveRecord(panels, (0, 3)), 60, 15))
        assert lines[6].split() == ["p5", "0/132", "p6", "0/132", "p7", "0/132"]
        assert lines[-1].startswith("panels 6–8 of 9   ")

    def test_no_room(self):
        assert draw(LiveRecord((make_panel(),), (0, 3)), 10, 5) is None

    def test_marks_and_map_differ_in_lightness_or_warmth(self):
        """Cool colours are more blue than red; the marks are far more red than blue."""
        assert all(blue > red for red, _green, blue in MAKO)
        assert all(red > 3 * blue for red, _green, blue in (BEST, DIVERGED))


class Clock:
    """A monotonic clock that stands still unless it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(live.time, "monotonic", lambda: self.now)


class TestView:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        return Clock(monkeypatch)

    @pytest.fixture
    def reads(self) -> list[float]:
        """When the cells were read."""
        return []

    @pytest.fixture
    def view(self, clock: Clock, reads: list[float]) -> LiveView:
        """A view whose reading takes 0.1 seconds, so that it may read every 5 seconds."""

        def read() -> list[CellMean]:
            reads.append(clock.now)
            clock.now += 0.1
            return [CellMean("sgd", Cell(0.1, 0.0), 1, 5.0 - len(reads), 0)]

        return LiveView(make_study(pairs=("sgd",)), read)

    def test_it_reads_when_more_cells_are_finished(self, view: LiveView, clock: Clock, reads):
        for finished in (0, 1, 1, 2, 2):
            view([make_progress("sgd", finished)])
            clock.now += 10
        assert len(reads) == 2
        assert view.record.panels[0].error == (((1, 0), 3.0),)
        assert view.record.panels[0].done == 2

    def test_it_reads_in_no_more_than_its_share_of_time(self, view: LiveView, clock: Clock, reads):
        begun = clock.now
        for step in range(1, 1000):
            view([make_progress("sgd", step, 1000)])
            clock.now += 0.5
        assert 10 < len(reads) <= (clock.now - begun) / 0.1 * live.LOOKING + 1

    def test_what_was_not_read_for_want_of_time_is_read_later(self, view: LiveView, clock, reads):
        for finished in (1, 2):
            view([make_progress("sgd", finished)])
        assert (len(reads), view.record.panels[0].done) == (1, 2)  # counts are always new
        clock.now += 10
        view([make_progress("sgd", 2)])
        assert len(reads) == 2

    def test_the_end_is_always_read(self, view: LiveView, reads):
        view([make_progress("sgd", 5)])
        view([make_progress("sgd", 6)])
        assert len(reads) == 2

    def test_it_draws_into_the_size_of_the_moment(self, view: LiveView):
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, width=80, height=24, color_system=None)
        view([make_progress("sgd", 1)])
        console.print(view)
        assert "sgd 1/6" in file.getvalue()
        assert len(file.getvalue().splitlines()) == 6
        file.truncate(0)
        console.size = (10, 5)
        console.print(view)
        assert file.getvalue().strip("\0") == ""


TERMINALS = {
    "256 colours": (Terminal(), {"TERM": "xterm-256color"}, True),
    "true colour": (Terminal(), {"TERM": "xterm", "COLORTERM": "truecolor"}, True),
    "pipe": (Terminal(tty=False), {"TERM": "xterm-256color"}, False),
    "pipe, forced": (Terminal(tty=False), {"TERM": "xterm-256color", "FORCE_COLOR": "1"}, False),
    "dumb": (Terminal(), {"TERM": "dumb"}, False),
    "unknown": (Terminal(), {"TERM": "unknown"}, False),
    "NO_COLOR": (Terminal(), {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
    "16 colours": (Terminal(), {"TERM": "xterm-16color"}, False),
    "ASCII": (Terminal("ascii"), {"TERM": "xterm-256color"}, False),
    "latin": (Terminal("iso-8859-1"), {"TERM": "xterm-256color"}, False),
}


@pytest.mark.parametrize(("file", "environment", "can"), TERMINALS.values(), ids=TERMINALS)
def test_where_it_can_be_shown(file: Terminal, environment: dict[str, str], can: bool):
    assert can_show(Console(file=file, _environ=environment)) is can
