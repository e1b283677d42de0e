"""Studies whose landscapes are known: every outcome follows from a formula, nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from landscape_study.study.records.identity import Identity
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.records.provenance import TRAINING_EXAMPLES, Worker, provenance
from landscape_study.study.sampling import load_sampler
from landscape_study.study.spec.metric import RECORDED
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel, Study
from landscape_study.study.store import Claim, Store

EPOCHS = 6
EXAMPLES = 500
Error = Callable[[str, Cell], float]  # panel, cell → percent after the last epoch; NaN diverges


def valley_study(*, seeds: int = 2, exponents: int = 4, pairs=("adam", "adamw")) -> Study:
    """Panels on a square grid around (0.01, 0.001), λ = 0 included."""
    grid = Grid(
        alpha=Axis.log2(0.01, -exponents, exponents),
        lambda_=Axis.log2(0.001, -exponents, exponents, zero=True),
    )
    panels = [Panel(name=pair, pair=pair, epochs=EPOCHS, grid=grid) for pair in pairs]
    return Study.from_dict(
        {"name": "valley", "task": "digits", "seeds": seeds, "batch_size": 50, "panel": panels},
        "test",
    )


def restart_study(kind: str = "anytime", **figure) -> Study:
    """Adam, AdamW and AdamWR at one α and nine λ, drawn as a figure of this kind."""
    adam, adamw = valley_study().panels
    row = {"alpha": [0.01]}
    restarts = {"name": "adamwr", "schedule": {"kind": "restarts", "t_0": 2}, "normalized": True}
    panels = [adam.changed(row), adamw.changed(row), adamw.changed(row | restarts)]
    return valley_study().change(name="restarts", panels=panels, figure={"kind": kind} | figure)


def valley_error(panel: str, cell: Cell) -> float:
    """A falling diagonal for L2 panels, an upright basin for decoupled ones."""
    x = math.log2(cell.alpha / 0.01)
    y = math.log2(cell.lambda_ / 0.001) if cell.lambda_ else -6.0
    tilt = 0.17 if not panel.endswith("w") else 0.0
    return 2.0 + 0.2 * x * x + 2 * tilt * x * y + 0.2 * y * y


def _rows(width: int, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    return [cells[i : i + width] for i in range(0, len(cells), width)]


def fill(
    store: Store,
    study: Study,
    error: Error = valley_error,
    *,
    noise: float = 0.05,
    chunks: int | None = None,
) -> None:
    """Create the study and record so many of its chunks (rows of a grid); all if None.

    Samplers are asked until they want no more.
    """
    width = len(study.panels[0].grid.lambda_.values)
    rows = partial(_rows, width)
    store.create(study, Identity("valley"), rows)
    facts = provenance(["cpu"], "vmap") | {TRAINING_EXAMPLES: EXAMPLES}
    run_id = store.start_run(study.name, facts)
    rng = np.random.default_rng(0)
    while chunks is None or chunks > 0:
        claim = store.claim(study.name, Worker(), run_id)
        if claim is None and _asked(store, study.name, width):
            continue
        if claim is None:
            break
        store.record(claim, _outcome(claim, error, noise, rng))
        chunks = None if chunks is None else chunks - 1
    store.end_run(run_id)


def _asked(store: Store, name: str, width: int) -> bool:
    """Ask samplers for more, if they want any; whether any may still."""
    for panel in store.unsettled(name):
        known = store.known(name, panel)
        assert known is not None
        assert known.panel.asked is not None
        answer = load_sampler(known.panel.asked).ask(known, width)
        store.ask(name, known, answer, width)
    return bool(store.unsettled(name))


def _outcome(claim: Claim, error: Error, noise: float, rng: np.random.Generator) -> Outcome:
    last = np.array([error(claim.panel, cell) for cell in claim.cells])
    diverged = np.isnan(last)
    final = np.where(diverged, 90.0, last + noise * rng.normal(size=last.size))
    curve = (final[:, None] + 20.0 * np.linspace(1, 0, EPOCHS)).astype(np.float32)
    curves = {metric: curve.copy() for metric in RECORDED}
    for metric in ("train_loss", "test_loss"):
        curves[metric][diverged, 2:] = np.nan
    return Outcome(
        curves, np.where(diverged, 3, 0), seconds=0.5, mechanism=_mechanism(claim, diverged)
    )


def _mechanism(claim: Claim, diverged: np.ndarray) -> dict[str, np.ndarray]:
    """Norms that follow from α and λ; nothing is clipped."""
    alpha, lambda_ = (
        np.array([getattr(cell, name) for cell in claim.cells]) for name in ("alpha", "lambda_")
    )
    weights = 10 / (1 + 1000 * lambda_)
    found = {"weight_norm": weights, "gradient_norm": 1 / weights, "update_norm": alpha * weights}
    found = {name: np.repeat(values[:, None], EPOCHS, axis=1) for name, values in found.items()}
    for curve in found.values():
        curve[diverged, 2:] = np.nan
    return {name: curve.astype(np.float32) for name, curve in found.items()}
