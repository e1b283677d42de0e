"""How a task is trained here, how fast, and what keeps it from being trained faster."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_study.study.agreement.remedies import remedy
from landscape_study.study.planning import probing
from landscape_study.study.planning.cost import measure
from landscape_study.study.planning.plan import Plan
from landscape_study.study.training.engines import ENGINES

FASTER = ("vmap", "captured")  # than a plain loop, in this order, where nothing is compiled


@dataclass(frozen=True)
class Obstacle:
    """Why an engine does not train the task.

    Attributes:
        remedy: what to change in the task; None where nothing is known.
    """

    engine: str
    why: str
    remedy: str | None


@dataclass(frozen=True)
class EngineReport:
    """How a task is trained.

    Attributes:
        engine: that trains it.
        together: cells at once.
        step: seconds a cell and training step.
        times: how many times as fast as the plain loop; None where that is what trains it.
        memory: bytes of a worker's chunk, beside PyTorch itself.
        obstacle: to the next faster engine; None if there is none.
    """

    engine: str
    together: int
    step: float
    times: float | None
    memory: int
    obstacle: Obstacle | None


def engine_report(plan: Plan) -> EngineReport:
    """What is measured of the plan's engine and of the plain loop, on whole batches."""
    setting, engine = plan.setting, plan.engine
    together = plan.width if ENGINES[engine].together else 1
    step, times = probing.pace(setting, plan.choice).step, None
    if engine != "referee":
        times = measure(setting, "referee", 1, setting.batch_size).pace.step / step
    return EngineReport(engine, together, step, times, plan.worker_bytes, _obstacle(plan))


def _obstacle(plan: Plan) -> Obstacle | None:
    if plan.engine == "compiled":
        return None
    found = ((engine, plan.setting.why_not(engine)) for engine in FASTER)
    return next((Obstacle(name, why, remedy(why)) for name, why in found if why), None)
