"""A run told in a terminal: lines, a progress bar, and the live heatmaps above it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from landscape_study.study.agreement.permission import Advance
from landscape_study.study.console.lines import choice_lines, print_plain, workers_line
from landscape_study.study.console.live import LiveView, can_show
from landscape_study.study.console.progress import ProgressBar, ProgressLines, trial_bar
from landscape_study.study.planning.objective_plan import AnyPlan
from landscape_study.study.planning.plan import Plan
from landscape_study.study.running.audience import Audience
from landscape_study.study.running.driver import OnProgress
from landscape_study.study.store import PanelProgress, Store


class TerminalAudience(Audience):
    """Shows a run.

    Args:
        console: where.
        live: whether to show heatmaps above the bar, where the terminal can.
        as_log: whether to write a line now and then instead of the bar.
    """

    def __init__(self, console: Console, *, live: bool = True, as_log: bool = False) -> None:
        self.console, self.live, self.as_log = console, live, as_log
        self.warned: set[str] = set()

    def tell(self, line: str) -> None:
        """Write the line."""
        print_plain(self.console, line)

    def warn(self, line: str) -> None:
        """Write the line to where errors go, once."""
        if line not in self.warned:
            self.warned.add(line)
            print_plain(Console(stderr=True), f"warning: {line}")

    def watch(self, what: str, steps: int) -> AbstractContextManager[Advance]:
        """A bar, if it takes long."""
        return trial_bar(self.console, what, steps)

    def planned(self, plan: AnyPlan, store: Store, progress: Sequence[PanelProgress]) -> None:
        """How many cells, workers, which engine; and why no faster one."""
        self.tell(workers_line(plan, store.name, progress))
        if not self.as_log and isinstance(plan, Plan):
            for line in choice_lines(plan):
                self.tell(line)

    def training(
        self, name: str, store: Store, progress: Sequence[PanelProgress]
    ) -> AbstractContextManager[OnProgress]:
        """The bar, or lines now and then."""
        if self.as_log:
            return nullcontext(ProgressLines(self.console))
        total, finished = sum(p.total for p in progress), sum(p.ended for p in progress)
        shown = self.live and can_show(self.console)
        study = store.study(name)
        view = LiveView(study, lambda: store.means(name)) if shown else None
        return ProgressBar(self.console, total, finished, view, study.metric)
