"""The networks that are trained: a study file each, and what is asked of the tool there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from landscape_study.study.planning.fitting import resolved
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import load_task

FOLDER = Path(__file__).parent / "networks"


@dataclass(frozen=True)
class Network:
    """A network, and the cells that every row trains.

    Attributes:
        asked: how many times more cells a second the tool shall do than each of these rows,
            start-up left out.
        asked_whole: the same, start-up included.
        metric: by whose median over the cells the rows must agree.
        tolerance: how far these medians may lie apart: points of error, or the loss's unit.
        ensemble: whether the hand-written ensemble trains it too: it knows neither clipping nor
            decay groups.
        engine: what the tool itself chooses for a study of usual size; None to let it choose.
    """

    name: str
    title: str
    asked: dict[str, float] = field(default_factory=dict)
    asked_whole: dict[str, float] = field(default_factory=dict)
    metric: Literal["test_error", "train_loss"] = "test_error"
    tolerance: float = 1.0
    engine: str | None = "compiled"
    ensemble: bool = True

    @property
    def jax(self) -> bool:
        """Whether the JAX user trains it too."""
        return "jax-parallel" in self.asked

    def study(self, *, quick: bool = False) -> Study:
        """Its study, the task's batch size filled in; `quick`: one epoch of two cells a pair."""
        study = Study.from_file(FOLDER / f"{self.name}.toml")
        study = resolved(study, load_task(study.task))
        if not quick:
            return study
        panels = tuple(p.model_copy(update={"grid": _corner(p.grid)}) for p in study.panels)
        return study.change(panels=panels).change_panels(epochs=1)


def _corner(grid: Grid) -> Grid:
    return Grid(
        alpha=Axis(values=grid.alpha.values[:1]), lambda_=Axis(values=grid.lambda_.values[:2])
    )


def _asked(loop: float, parallel: float, careful: float, jax: float) -> dict[str, float]:
    loops = {"loop": loop, "loop-parallel": parallel, "loop-parallel-careful": careful}
    return loops | {"jax-parallel": jax}


def _whole(jax: float) -> dict[str, float]:
    return {"jax-parallel-cold": jax}


NETWORKS = {
    network.name: network
    for network in (
        Network("digits", "BN-MLP of `digits`", _asked(10, 6, 4, 1.2), _whole(1.5)),
        # Few epochs end where the error still falls: another shuffle moves all cells together.
        Network("mlp1d", "MLP 40-100-100-10", _asked(8, 4, 3, 1.2), _whole(1.5), tolerance=2.0),
        Network("mnist1d", "ConvNet 1D", _asked(8, 4, 3.5, 1.3), _whole(1.5), tolerance=6.0),
        Network("mnist5k", "ConvNet 2D with BN", _asked(3, 2, 1.5, 3), _whole(2)),
        Network("resnet26", "ResNet 26 2x32d", metric="train_loss", tolerance=0.2, engine=None),
    )
}

# Whose examples are no images, nor vectors: not among those of the limit and of the GPU.
LANGUAGE_MODELS = {
    "chars": Network(
        *("chars", "GPT of `chars`", {"loop": 3.0}),
        **{"metric": "train_loss", "tolerance": 0.2, "ensemble": False},
    )
}
EVERY = NETWORKS | LANGUAGE_MODELS
