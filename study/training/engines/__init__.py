"""Engines: ways to train the cells of a chunk.

    compiled     the step of one cell as machine code, called for one cell after the other
    captured     all cells in one graph of plain operations, traced once and replayed
    vmap         torch.func.vmap over the cells, at each step anew
    referee      a plain loop, cell after cell: slow, and right by construction

All give the same results but for rounding; each stands in for the one before it. For a user's own
task that is not believed but tried: see `agreement.finding`.
"""

from landscape_study.study.training.engines.base import Assignment, Engine, Programs
from landscape_study.study.training.engines.captured import CapturedEngine
from landscape_study.study.training.engines.compiled import CompiledEngine
from landscape_study.study.training.engines.ensemble import Ensemble
from landscape_study.study.training.engines.referee import Referee
from landscape_study.study.training.engines.vmapped import VmapEngine

ENGINES: dict[str, type[Engine]] = {
    "compiled": CompiledEngine,
    "captured": CapturedEngine,
    "vmap": VmapEngine,
    "referee": Referee,
}

__all__ = ["ENGINES", "Assignment", "Engine", "Ensemble", "Programs", "Referee"]
