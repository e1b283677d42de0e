"""What is read of studies, wherever their results are: in a database, or in files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Failure, PanelProgress
from landscape_study.study.store.queries import PanelCell


class Results(Protocol):
    """What figures, reports and tables read of studies; each method as that of `Store`."""

    @property
    def display_url(self) -> str:
        """How people name the place, without a password."""

    @property
    def folder(self) -> Path:
        """Where figures and reports of its studies go."""

    @property
    def said(self) -> tuple[str, ...]:
        """How its studies are understood, a line each, where that is guessed."""

    def words(self, name: str) -> tuple[str, ...]:
        """What names one of its studies on a command line."""

    def study(self, name: str) -> Study:
        """The study of this name."""

    def cells(self, name: str) -> list[dict[str, Any]]:
        """Every cell of it, one row each."""

    def curves(
        self, name: str, cells: Collection[PanelCell] | None = None
    ) -> list[dict[str, Any]]:
        """Its curves, one row per cell and metric; of some cells at least."""

    def mechanism(self, name: str) -> list[dict[str, Any]]:
        """What happened inside of its cells, one row per cell and quantity."""

    def progress(self, name: str) -> list[PanelProgress]:
        """How far each of its panels is."""

    def witnesses(self, name: str) -> list[Witness]:
        """The witnesses of its panels."""

    def seed_noise(self, name: str) -> dict[str, float]:
        """How far its seeds scatter, by panel."""

    def failures(self, name: str) -> list[Failure]:
        """Its cells that were given up, and why."""

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Who trained it."""
