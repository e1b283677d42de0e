"""A run told in a terminal: lines, a progress bar, and the live heatmaps above it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Thread

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
        needed: modules that are needed after the training, imported while workers train.
    """

    def __init__(
        self,
        console: Console,
        *,
        live: bool = True,
        as_log: bool = False,
        needed: Sequence[str] = (),
    ) -> None:
        self.console, self.live, self.as_log, self.needed = console, live, as_log, needed
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

    @contextmanager
    def training(
        self, name: str, store: Store, progress: Sequence[PanelProgress]
    ) -> Iterator[OnProgress]:
        """The bar, or lines now and then."""
        importing = Thread(target=_import, args=(self.needed,), daemon=True)
        with self._shown(name, store, progress) as show:

            def on_progress(progress: list[PanelProgress]) -> None:
                if importing.ident is None:  # not before all workers are started
                    importing.start()
                show(progress)

            yield on_progress

    def _shown(
        self, name: str, store: Store, progress: Sequence[PanelProgress]
    ) -> AbstractContextManager[OnProgress]:
        if self.as_log:
            return nullcontext(ProgressLines(self.console))
        total, finished = sum(p.total for p in progress), sum(p.ended for p in progress)
        shown = self.live and can_show(self.console)
        study = store.study(name)
        view = LiveView(study, lambda: store.means(name)) if shown else None
        return ProgressBar(self.console, total, finished, view, study.metric)


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):  # whoever needs it fails with that
            importlib.import_module(module)
