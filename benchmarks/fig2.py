"""The whole embedded study through the command line: wall time, memory, database work."""

from __future__ import annotations

from benchmarks.measure import spread
from benchmarks.results import Facts, Settings
from benchmarks.rows import tool, train
from benchmarks.throughput import warm_up
from landscape_study.study.spec.presets import load_preset

PRESET = "digits-fig2"
ASKED = {
    "training_s": 100.0,  # on two cores, after set-up, as issue 5 has it
    "peak_bytes": 2e9,  # as issue 2 has it
    "database_share": 0.02,  # of claim + record + beat in the workers' time, likewise
}
SPREADS = ("wall_s", "startup_s", "training_s", "cells_per_s", "peak_bytes")


def measure(settings: Settings) -> Facts:
    """Run the preset, figure included: once, whatever the other parts do, since it is long."""
    study = load_preset(PRESET)
    if settings.quick:
        study = study.change(seeds=(0,), panels=study.panels[:1]).change_panels(epochs=1)
    warm_up(study.task)
    done = train(tool(), study, figure=True)
    settings.tell(f"{done.cells} cells: {done.wall_s:.1f} s")
    record = done.record() | {"database": done.database}
    share = record["database"]["share"]
    return {
        "settings": {"preset": PRESET, "seeds": list(study.seeds), "repeats": 1},
        "cells": done.cells,
        **{key: spread([record[key]]) for key in SPREADS},
        "database_share": spread([share]),
        "asked": ASKED,
        "repetitions": [record],
    }
