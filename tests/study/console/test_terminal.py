"""The progress bar in terminals, with and without heatmaps above it; and in pipes."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from rich.console import Console

from landscape_study.study.console import progress
from landscape_study.study.console.lines import choice_lines
from landscape_study.study.console.live import LiveView
from landscape_study.study.console.progress import ProgressBar, news_line, trial_bar
from landscape_study.study.console.terminal_audience import TerminalAudience
from landscape_study.study.console.text_tables import plan_table
from landscape_study.study.planning.plan import Plan, make_plan
from landscape_study.study.planning.probing import Choice
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.run_lines import run_lines
from landscape_study.study.spec.study import Cell
from landscape_study.study.store import CellMean, PanelProgress, Store
from tests.conftest import Terminal, make_study
from tests.study.runs import wait_for

SGD = PanelProgress("sgd", 400, 100, 0, 0, 4, best=3.25, seconds=1.0)
ADAMW = PanelProgress("adamw", 400, 0, 0, 0, 0, best=None, seconds=0.0)
CLEAR = "\x1b[2J\x1b[H"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def make_console(width: int = 80, height: int = 24, *, tty: bool = True) -> Console:
    """A terminal without colours, so that its text can be read."""
    environment = {"TERM": "xterm-256color", "NO_COLOR": "1"}
    return Console(
        file=Terminal(tty=tty), width=width, height=height, _environ=environment, highlight=False
    )


def written(console: Console) -> str:
    """What went to the terminal, but for bold and dim."""
    assert isinstance(console.file, Terminal)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


def make_view() -> LiveView:
    study = make_study(pairs=("sgd", "adamw"))
    return LiveView(study, lambda: [CellMean("sgd", Cell(0.1, 0.0), 1, 3.25, 0)])


@pytest.fixture
def always_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing may take all the time there is."""
    monkeypatch.setattr(progress, "DRAWING", math.inf)


@pytest.fixture
def ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which everything takes ten seconds."""
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(ticks)))


class TestNews:
    PROGRESS = (replace(SGD, diverged=12), ADAMW)

    @pytest.mark.parametrize(
        ("width", "line"),
        [
            (80, "3 min 5 s left · best 3.25 % (sgd) · 12 diverged"),
            (48, "3 min 5 s left · best 3.25 % (sgd) · 12 diverged"),
            (47, "3 min 5 s left · best 3.25 % (sgd)"),
            (33, "3 min 5 s left · 12 diverged"),
            (10, "3 min 5 s left"),
        ],
    )
    def test_what_fits_is_told(self, width: int, line: str):
        assert news_line(self.PROGRESS, 185, width) == line

    def test_before_the_first_cells(self):
        assert news_line([ADAMW], None, 80) == "first chunks running"


class TestBar:
    @pytest.mark.usefixtures("ten_seconds")
    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_one_line_with_counts_time_left_and_clock(self, width: int):
        console = make_console(width)
        with ProgressBar(console, 800, 0) as bar:
            bar([SGD, ADAMW])
        line = written(console).splitlines()[-2].rpartition("\x1b[2K")[2]
        assert len(line) == width - 3  # an echoed ^C does not break it
        assert line.startswith(("training ━", "training ╸"))  # the bar is short at 60 and 80
        assert " 100 of 800 cells 1 min 10 s left" in line
        assert ("best 3.25 % (sgd)" in line) is (width > 60)
        assert line[-8:].startswith(" 0:0")

    def test_where_a_sampler_stops_early_all_are_fewer(self, always_drawn: None):
        console = make_console()
        with ProgressBar(console, 800, 0) as bar:
            bar([SGD, ADAMW])
            bar([replace(SGD, total=100), replace(ADAMW, total=20, finished=20)])
        assert "120 of 120 cells" in written(console)

    def test_a_pipe_gets_nothing(self):
        console = make_console(tty=False)
        with ProgressBar(console, 800, 0, make_view()) as bar:
            bar([SGD, ADAMW])
        assert written(console) == ""

    def test_heatmaps_stand_above_the_bar(self):
        console = make_console()
        with ProgressBar(console, 800, 0, make_view()) as bar:
            bar([SGD, ADAMW])
        last = written(console).rpartition("sgd 100/400")[2].splitlines()
        assert last[0].split() == ["adamw", "0/400"]
        assert last[1].split() == ["best", "3.25", "%", "at", "nothing", "finished"]
        assert last[3].startswith("error 3.25 % ▀")
        assert last[4].startswith("training ━")

    def test_a_terminal_too_small_for_heatmaps_has_the_bar(self):
        console = make_console(60, 6)
        with ProgressBar(console, 800, 0, make_view()) as bar:
            bar([SGD, ADAMW])
        assert "training ━" in written(console)
        assert "sgd 100/400" not in written(console)

    def test_drawing_takes_no_more_than_its_share_of_time(self, monkeypatch: pytest.MonkeyPatch):
        """Drawing takes 0.1 seconds, and 1000 are over in steps of 0.5."""
        moment, drawn = [0.0], []
        monkeypatch.setattr(progress.time, "monotonic", lambda: moment[0])
        with ProgressBar(make_console(), 800, 0, make_view()) as bar:

            def refresh() -> None:
                drawn.append(moment[0])
                moment[0] += 0.1

            monkeypatch.setattr(bar.live, "refresh", refresh)
            while moment[0] < 1000:
                bar([SGD, ADAMW])
                moment[0] += 0.5
        assert 50 < len(drawn) <= 1000 / 0.1 * progress.DRAWING + 2

    def test_the_last_state_is_drawn_in_any_case(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(progress, "DRAWING", 1e-9)
        console = make_console()
        with ProgressBar(console, 800, 0, make_view()) as bar:
            bar([SGD, ADAMW])
            bar([replace(SGD, finished=104), ADAMW])
            assert "104 of 800 cells" not in written(console)
        assert "sgd 104/400" in written(console)
        assert "104 of 800 cells" in written(console)

    @pytest.mark.usefixtures("always_drawn")
    @pytest.mark.parametrize("view", [make_view(), None], ids=["view", "bar only"])
    def test_the_screen_is_cleared_when_heatmaps_meet_another_size(self, view: LiveView | None):
        console = make_console()
        with ProgressBar(console, 800, 0, view) as bar:
            bar([SGD, ADAMW])
            assert CLEAR not in written(console)
            console.size = (60, 15)
            bar([SGD, ADAMW])
            assert written(console).count(CLEAR) == (view is not None)
            bar([SGD, ADAMW])
            assert written(console).count(CLEAR) == (view is not None)

    def test_interrupted_it_leaves_its_last_state_and_the_cursor(self):
        console = make_console()

        def interrupted() -> None:
            with ProgressBar(console, 800, 0, make_view()) as bar:
                bar([SGD, ADAMW])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert written(console).count(HIDE_CURSOR) == written(console).count(SHOW_CURSOR) == 1
        assert written(console).endswith(f"\n{SHOW_CURSOR}")
        assert "100 of 800 cells" in written(console).splitlines()[-2]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(make_study(), RunSettings(device="cpu", workers=2, chunk=4))


def laid_out(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, layout=replace(plan.layout, **changes))


@pytest.mark.slow
class TestPlanTable:
    MISSING: ClassVar = {"sgd": [6], "adamw": [3]}

    def caption(self, plan: Plan, seconds: float) -> str:
        return str(plan_table(plan, self.MISSING, seconds).caption)

    def test_a_row_for_each_panel(self, plan: Plan):
        columns = [list(column.cells) for column in plan_table(plan, self.MISSING, 1.0).columns]
        assert list(zip(*columns, strict=True)) == [
            ("sgd", "sgd", "cosine", "3", "2 × 3 × 1", "6", "2"),
            ("adamw", "adamw", "cosine", "3", "2 × 3 × 1", "3", "1"),
        ]

    def test_without_a_gpu_the_time_is_that_of_the_cpu_workers(self, plan: Plan):
        caption = self.caption(plan, 7800)
        assert "1,218 parameters a cell, engine vmap, at most 4 cells a chunk" in caption
        assert caption.endswith("2 workers on cpu; about 2 h 10 min on these CPU workers")
        assert "GPU" not in caption
        caption = self.caption(laid_out(plan, threads=8), 7800)
        assert caption.endswith("on cpu, 8 threads each; about 2 h 10 min on these CPU workers")

    def test_engine_and_memory_of_a_worker(self, plan: Plan):
        large = replace(plan, cell_bytes=10**9)
        assert "engine vmap, at most 4 cells a chunk: 4.0 GB a worker" in self.caption(large, 1)
        alone = replace(large, choice=Choice("referee", 3))
        assert "engine referee, at most 4 cells a chunk: 1.0 GB a" in self.caption(alone, 1)

    @pytest.mark.parametrize(
        ("devices", "seconds", "end"),
        [
            (("cuda:0",), 7200, "1 worker on cuda:0; about 2 h 0 min, 2.0 GPU hours"),
            (("cuda:0", "cuda:1"), 7200, "on cuda:0, cuda:1; about 2 h 0 min, 4.0 GPU hours"),
            (("cuda:0", "cuda:0"), 7200, "2 workers on cuda:0; about 2 h 0 min, 2.0 GPU hours"),
            (("cuda:0",), 0, "about 0 s, 0.0 GPU hours"),
        ],
    )
    def test_gpu_hours_count_cards_not_workers(
        self, plan: Plan, devices: tuple[str, ...], seconds: float, end: str
    ):
        assert self.caption(laid_out(plan, devices=devices), seconds).endswith(end)


def test_a_run_is_told_with_its_engine_unless_it_was_by_a_version_that_did_not_say():
    facts = {
        "host": "here",
        "devices": ["cpu", "cpu"],
        "python": "3.11.2",
        "versions": {"torch": "2.13"},
        "git": None,
    }
    run = {"started": 0.0, "ended": 185.0, "provenance": facts | {"engine": "compiled"}}
    (line,) = run_lines([run])
    assert line.endswith(
        "3 min 5 s, on here (2 × cpu, compiled); Python 3.11.2, torch 2.13; git unknown"
    )
    (line,) = run_lines([run | {"provenance": facts, "ended": None}])
    assert "not ended, on here (2 × cpu); Python" in line


class TestTrialBar:
    """What is said of trials that take long."""

    def advance(self, *, terminal: bool, steps: int = 3) -> str:
        console = make_console(width=60, tty=terminal)
        with trial_bar(console, "trying engine vmap on task a:b", 10) as advance:
            for _ in range(steps):
                advance()
        return written(console)

    @pytest.mark.parametrize("terminal", [True, False])
    def test_nothing_is_said_of_what_is_quick(self, terminal: bool):
        assert self.advance(terminal=terminal) == ""

    def test_in_a_pipe_it_is_one_line(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("landscape_study.study.console.progress.LONG", -1.0)
        assert self.advance(terminal=False) == "trying engine vmap on task a:b\n"

    def test_in_a_terminal_it_is_a_bar_that_goes_away(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("landscape_study.study.console.progress.LONG", -1.0)
        shown = self.advance(terminal=True)
        assert "trying engine vmap on task a:b" in shown
        assert shown.endswith("\x1b[2K")  # the line is erased


def test_choices_are_explained(plan: Plan):
    quick = replace(plan, choice=Choice("captured", 6))
    assert list(choice_lines(quick)) == []
    slow = Choice("referee", 6, None, "engine vmap: after step 1 the loss differs", 6.2)
    lines = list(choice_lines(replace(plan, choice=slow, no_checkpoint="it keeps a file")))
    assert lines == [
        "engine vmap: after step 1 the loss differs: trained by the plain loop instead, "
        "about 6 × slower",
        "no checkpoints are kept, so what is interrupted begins anew: it keeps a file",
    ]
    frozen = Choice("vmap", 6, None, "engine captured: `steps` changes", 1.1)
    assert list(choice_lines(replace(plan, choice=frozen))) == [
        "engine captured: `steps` changes: trained by engine vmap instead"
    ]


def test_what_is_needed_after_the_training_is_imported_meanwhile(store: Store):
    """And not before all workers are started; what cannot be imported is not missed yet."""
    module = "xml.sax.expatreader"
    sys.modules.pop(module, None)
    console = make_console(tty=False)
    audience = TerminalAudience(console, as_log=True, needed=("no.such.module", module))
    with audience.training("small", store, [SGD]) as told:
        assert module not in sys.modules
        told([SGD])
        wait_for(lambda: module in sys.modules)
        told([SGD])
