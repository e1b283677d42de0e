"""Who is told how a run goes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from landscape_study.study.agreement.permission import Advance, no_watch
from landscape_study.study.planning.objective_plan import AnyPlan
from landscape_study.study.running.driver import OnProgress
from landscape_study.study.store import PanelProgress, Store


class Audience:
    """Hears how a run goes; this one says nothing of it to anybody, and warns as Python does."""

    def tell(self, line: str) -> None:
        """Something that is worth knowing."""

    def warn(self, line: str) -> None:
        """Something that may go wrong."""
        warnings.warn(line, stacklevel=2)

    def watch(self, what: str, steps: int) -> AbstractContextManager[Advance]:
        """While engines are tried or a witness is trained: gives what is called at each step."""
        return no_watch(what, steps)

    def planned(self, plan: AnyPlan, store: Store, progress: Sequence[PanelProgress]) -> None:
        """What is to be done, by whom and how."""

    def training(
        self, name: str, store: Store, progress: Sequence[PanelProgress]
    ) -> AbstractContextManager[OnProgress]:
        """While cells of a study are trained: gives what is called with the progress.

        Args:
            name: of the study.
            store: where it is.
            progress: how far it was before.
        """
        return nullcontext(lambda progress: None)
