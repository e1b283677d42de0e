"""An independent ledger: what a database holds, against what it must hold.

It shares no code with the store: plain SQL, and results that it computes anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Study

EPOCHS = 5
PRUNED_AFTER, PRUNED_SHARE = 3, 0.2  # epochs; of the cells, where any are given up
ATTRIBUTES = {"train_loss", "test_loss", "diverged", "diverged_epoch", "seconds"}

Cell = tuple[str, int, float, float]  # panel, seed, α, λ


@dataclass
class Counts:
    """Cells that are not as they must be."""

    lost: int = 0  # not there, or acknowledged to a worker and not there any more
    doubled: int = 0  # there twice, or recorded twice
    stuck: int = 0  # there, and never finished
    torn: int = 0  # finished in part, or with something else than was recorded

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


def true_curves(cell: Cell) -> np.ndarray:
    """What training this cell gives: float32 [metrics, epochs], the same for whoever asks."""
    seed = int.from_bytes(hashlib.sha256(repr(cell).encode()).digest()[:8], "big")
    return np.random.default_rng(seed).random((len(RECORDED), EPOCHS), np.float32)


def pruned_epoch(cell: Cell) -> int:
    """After which epoch the cell is given up, the same for whoever asks; 0 for most."""
    return PRUNED_AFTER if true_curves(cell)[0, 0] < PRUNED_SHARE else 0


def true_outcome(cells: list[Cell], *, prunes: bool = False) -> Outcome:
    """The same of several cells, as the store takes it."""
    curves = np.stack([true_curves(cell) for cell in cells], axis=1)
    return Outcome(
        dict(zip(RECORDED, curves, strict=True)),
        np.zeros(len(cells), np.int64),
        1.0,
        pruned_epoch=np.array([prunes * pruned_epoch(cell) for cell in cells]),
    )


def acknowledge(ledger: Path, token: str, trial_ids: tuple[int, ...]) -> None:
    """Note that a worker was told that these are recorded; lines of several do not mix."""
    line = " ".join([token, *map(str, trial_ids)])
    with ledger.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def audit(url: str, study: Study, ledger: Path) -> Counts:
    """Compare the database at `url` with the study's grid and with what was acknowledged."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = _Rows(connection)
    engine.dispose()
    counts, acknowledged = Counts(), _acknowledged(ledger)
    prunes = {panel.name: panel.prune is not None for panel in study.panels}
    counts.lost += _unasked(rows, study)
    for cell in expected(rows, study):
        trials = rows.trials[cell]
        epochs = (prunes[cell[0]] and pruned_epoch(cell)) or EPOCHS
        ended = "done" if epochs == EPOCHS else "pruned"
        counts.lost += not trials
        counts.doubled += len(trials) > 1
        for trial in trials:
            finished = rows.chunk_states[trial] == ended
            counts.stuck += not finished
            whole = rows.whole(trial, cell, epochs) if finished else rows.untouched(trial)
            counts.torn += not whole
            counts.doubled += acknowledged[trial] > 1
            counts.lost += acknowledged[trial] > 0 and not finished
    return counts


def _unasked(rows: _Rows, study: Study) -> int:
    """How many cells are not there that samplers were to ask for; what is too much counts too."""
    there = Counter(panel for panel, *_ in rows.trials)
    asked = {one.name: one.sampled.trials for one in study.panels if one.sampled}
    return sum(abs(trials - there[name]) for name, trials in asked.items())


def expected(rows: _Rows, study: Study) -> Iterator[Cell]:
    """Every cell of the study's grids, and those that samplers have asked for."""
    for panel in study.panels:
        for seed in study.seeds:
            for cell in panel.cells():
                yield panel.name, seed, cell.alpha, cell.lambda_
        if panel.sampled:
            yield from [cell for cell in rows.trials if cell[0] == panel.name]


def _acknowledged(ledger: Path) -> Counter[int]:
    """How often each trial was acknowledged."""
    lines = ledger.read_text("utf-8").splitlines() if ledger.exists() else []
    return Counter(int(trial) for line in lines for trial in line.split()[1:])


class _Rows:
    """All rows of interest, by trial."""

    def __init__(self, connection: sa.Connection) -> None:
        def rows(statement: str) -> list[tuple]:
            return [tuple(row) for row in connection.execute(sa.text(statement))]

        self.trials: defaultdict[Cell, list[int]] = defaultdict(list)
        self.chunk_states: dict[int, str] = {}
        self.cells: dict[int, tuple] = {}
        for trial, panel, seed, alpha, lambda_, state, *own in rows(
            "SELECT c.trial_id, h.panel, h.seed, c.alpha, c.lambda, h.state, "
            "c.train_loss, c.test_loss, c.diverged_epoch "
            "FROM landscape_cell c JOIN landscape_chunk h ON h.chunk_id = c.chunk_id"
        ):
            self.trials[panel, seed, alpha, lambda_].append(trial)
            self.chunk_states[trial] = state
            self.cells[trial] = tuple(own)
        self.states = dict(rows("SELECT trial_id, state FROM trials"))
        self.values = _grouped(rows("SELECT trial_id, value FROM trial_values"))
        self.steps = _grouped(
            rows("SELECT trial_id, step, intermediate_value FROM trial_intermediate_values")
        )
        self.attributes = _grouped(rows("SELECT trial_id, key FROM trial_user_attributes"))
        self.curves = _grouped(rows("SELECT trial_id, metric, n, data FROM landscape_curve"))

    def whole(self, trial: int, cell: Cell, epochs: int) -> bool:
        """Whether all that belongs to a cell that ended is there, once, and true to the bit."""
        truth = dict(zip(RECORDED, true_curves(cell)[:, :epochs], strict=True))
        curves = [(metric, epochs, curve.tobytes()) for metric, curve in truth.items()]
        errors = truth["test_error"]
        last = tuple(float(truth[metric][-1]) for metric in ("train_loss", "test_loss"))
        return (
            self.states.get(trial) == ("COMPLETE" if epochs == EPOCHS else "PRUNED")
            and self.values[trial] == [(float(errors[-1]),)]
            and sorted(self.steps[trial]) == [(e + 1, float(v)) for e, v in enumerate(errors)]
            and sorted(key for (key,) in self.attributes[trial]) == sorted(ATTRIBUTES)
            and sorted((m, n, bytes(data)) for m, n, data in self.curves[trial]) == sorted(curves)
            and self.cells[trial] == (*last, 0)
        )

    def untouched(self, trial: int) -> bool:
        """Whether a cell that is not finished has no results at all."""
        results = (self.values, self.steps, self.attributes, self.curves)
        nothing = self.cells[trial] == (None, None, None)
        return (
            self.states.get(trial) not in ("COMPLETE", "PRUNED")
            and nothing
            and not any(r[trial] for r in results)
        )


def _grouped(rows: list[tuple]) -> defaultdict[int, list[tuple]]:
    """The rest of the rows by their first column."""
    groups: defaultdict[int, list[tuple]] = defaultdict(list)
    for trial, *rest in rows:
        groups[trial].append(tuple(rest))
    return groups
