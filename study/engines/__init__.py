"""Engines: ways to get the gradients and scores of many copies of a network at once.

    compiled     captured, and compiled for this machine
    captured     traced once into a graph of plain operations, with own formulas for some layers
    vmap         torch.func.vmap over the cells, at each step anew
    one-by-one   a plain loop over the cells, for what vmap cannot do

All give the same results but for rounding; each stands in for the one before it.
"""

from study.engines.base import Engine, Programs
from study.engines.captured import CapturedEngine, CompiledEngine
from study.engines.ensemble import Ensemble
from study.engines.one_by_one import OneByOneEngine
from study.engines.vmapped import VmapEngine

ENGINES: dict[str, type[Engine]] = {
    "compiled": CompiledEngine,
    "captured": CapturedEngine,
    "vmap": VmapEngine,
    "one-by-one": OneByOneEngine,
}

__all__ = ["ENGINES", "Engine", "Ensemble", "Programs"]
