"""The rows of the GPU benchmark: a chunk of cells each, measured as long as there is time."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from benchmarks import card, slots
from benchmarks.measure import spread
from benchmarks.results import Settings
from benchmarks.synthetic import Synthetic
from landscape_study.study.planning.cost import Setting, measure

LADDER_SECONDS = 80.0  # that the chunks of one network and engine may take
GROWTH = 3  # how many times longer than a chunk one of four times the cells takes, about
ROW_SECONDS = 6.0  # after which a row is not measured once more
LAP_SECONDS = 1.0  # of workers side by side
SLOTS = 2  # workers on one card
QUICK_CELLS = (1, 2)
CHUNK = ("network", "engine", "arithmetic", "cells")  # what a row is of

Row = dict[str, Any]


class Bench:
    """Rows measured one after the other, until the time is up.

    Attributes:
        rows: one for each network, engine, arithmetic and chunk.
        slots: one for each network and number of workers on the card.
    """

    def __init__(self, settings: Settings, device: str, budget: float) -> None:
        self.settings, self.device = settings, device
        self.end = time.perf_counter() + budget
        self.lap_seconds = 0.1 if settings.quick else LAP_SECONDS
        self.rows: list[Row] = []
        self.slots: list[Row] = []

    def setting(self, network: Synthetic, arithmetic: str) -> Setting:
        """Of a network, on this device."""
        return network.setting(self.device, arithmetic, quick=self.settings.quick)

    def row(
        self,
        network: Synthetic,
        engine: str,
        arithmetic: str,
        cells: int,
        expected: float = 0.0,
        end: float = math.inf,
    ) -> Row:
        """Measure a chunk of so many cells, if so many seconds are left before the `end`."""
        facts = dict(zip(CHUNK, (network.name, engine, arithmetic, cells), strict=True))
        setting = self.setting(network, arithmetic)
        timed = functools.partial(time_chunk, setting, engine, cells, self.settings.repeats)
        return self._keep(self.rows, facts, timed, expected, end)

    def ladder(self, network: Synthetic, engine: str) -> None:
        """Ever larger chunks, as far as memory and time go."""
        end, expected = time.perf_counter() + LADDER_SECONDS, 0.0
        for cells in QUICK_CELLS if self.settings.quick else network.cells:
            row = self.row(network, engine, "float32", cells, expected, end)
            if "failed" in row:
                break
            expected = GROWTH * row["took_s"] / row["repeats"]

    def side_by_side(self, networks: Sequence[Synthetic]) -> None:
        """One worker and several, each with the best chunk of the network."""
        card.forget(self.device)
        with slots.workers(SLOTS) as pool:
            for best in (best_row(self.rows, network.name) for network in networks):
                for count in (1, SLOTS) if best else ():
                    facts = {key: best[key] for key in CHUNK} | {"slots": count}
                    self._keep(self.slots, facts, functools.partial(self._laps, pool, facts))

    def _laps(self, pool: ProcessPoolExecutor, facts: Row) -> Row:
        job = slots.Job(
            **facts,
            device=self.device,
            laps=self.settings.repeats,
            seconds=self.lap_seconds,
            quick=self.settings.quick,
        )
        return {"cells_per_s": spread(slots.cells_per_second(pool, job))}

    def _keep(
        self,
        rows: list[Row],
        facts: Row,
        found: Callable[[], Row],
        expected: float = 0.0,
        end: float = math.inf,
    ) -> Row:
        """Add a row of what is found, or of why nothing is."""
        begun = time.perf_counter()
        if begun + expected > min(self.end, end):
            row = facts | {"failed": "left out: it would have taken too long"}
        else:
            try:
                row = facts | found()
            except Exception as e:  # the other rows are worth having, whatever torch raises
                first = (str(e).strip() or "no message").splitlines()[0]
                row = facts | {"failed": f"{type(e).__name__}: {first}"}
            row["took_s"] = time.perf_counter() - begun
        rows.append(row)
        speed = row.get("failed") or f"{row['cells_per_s']['median']:.4g} cells/s"
        self.settings.tell(f"{', '.join(map(str, facts.values()))}: {speed}")
        return row


def time_chunk(setting: Setting, engine: str, cells: int, repeats: int) -> Row:
    """The cost of a chunk, measured up to so many times if that is quick."""
    probes, peaks, begun = [], [], time.perf_counter()
    while len(probes) < repeats and (not probes or time.perf_counter() - begun < ROW_SECONDS):
        before = card.forget(setting.device)  # the graphs of the last time too
        probes.append(measure(setting, engine, cells, setting.batch_size))
        peaks.append(card.peak_bytes(setting.device) - before)
    epochs = setting.study.panels[0].epochs or 1
    epoch = [probe.pace.epoch(setting) for probe in probes]
    return {
        "repeats": len(probes),
        "step_us": spread([1e6 * probe.pace.step for probe in probes]),
        "test_us": spread([1e6 * probe.pace.test for probe in probes]),
        "epoch_s": spread(epoch),
        "cells_per_s": spread([1 / (epochs * seconds) for seconds in epoch]),
        "bytes_per_cell": max(peaks) / cells,
    }


def best_row(rows: Sequence[Row], network: str, arithmetic: str | None = None) -> Row | None:
    """The row that trains most cells of a network a second together; None if none could."""
    done = [
        row
        for row in rows
        if row["network"] == network
        and row["engine"] != "referee"
        and arithmetic in (None, row["arithmetic"])
        and "failed" not in row
    ]
    return max(done, key=lambda row: row["cells_per_s"]["median"], default=None)
