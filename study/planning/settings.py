"""Where and how a study is trained, whatever it is: one value for plan, run and command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from landscape_study.study.errors import UsageError
from landscape_study.study.objectives.process import Limits
from landscape_study.study.spec.engine_names import ENGINE_NAMES, engine_name

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run; by default, what is fastest on this machine.

    Attributes:
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        workers: how many; None for one per core, GPU or worker of dask, as far as memory allows.
        per_gpu: how many workers on each GPU; None for one.
        chunk: most cells trained together; None to choose by device, memory and measuring.
        engine: one of `training.engines.ENGINES`; None to choose by measuring.
        dask: address of the scheduler of a dask cluster to train on; None for this machine.
        accept_source: whether the source of a user's own task or rule may have changed.
        witness: whether a cell of each panel is trained again by the referee at the end.
        timeout: seconds that the run of a command may take; None for any.
        memory: GB that it may take.
        keep_folders: GB of folders of runs that are kept; None for those of failed runs only.
    """

    device: Device = "auto"
    workers: int | None = None
    per_gpu: int | None = None
    chunk: int | None = None
    engine: str | None = None
    dask: str | None = None
    accept_source: bool = False
    witness: bool = True
    timeout: float | None = None
    memory: float | None = None
    keep_folders: float | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            UsageError: a device, an engine or a count that there is none of; two counts.
        """
        if self.device not in get_args(Device):
            raise UsageError(f"device '{self.device}': choose {', '.join(get_args(Device))}")
        if self.engine is not None:
            object.__setattr__(self, "engine", engine_name(self.engine))
            if self.engine not in ENGINE_NAMES:
                raise UsageError(f"engine '{self.engine}': choose {', '.join(ENGINE_NAMES)}")
        for name in ("workers", "per_gpu", "chunk"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or count < 1):
                raise UsageError(f"{name} = {count!r}: give a whole number of 1 or more")
        if self.dask is not None and self.per_gpu is not None:
            raise UsageError(
                f"--per-gpu {self.per_gpu}: a dask cluster has the workers that it has: leave it "
                "out, and start as many `dask worker` on each GPU"
            )
        if self.workers is not None and self.per_gpu is not None:
            both = f"--workers {self.workers} and --per-gpu {self.per_gpu}"
            raise UsageError(f"{both} say how many, each for itself: give one of them")

    @property
    def limits(self) -> Limits:
        """Of the process of each cell, where the study runs a command."""
        memory = None if self.memory is None else int(self.memory * 1024**3)
        return Limits(self.timeout, memory)

    @property
    def kept_bytes(self) -> int | None:
        """What may be kept of the folders of such runs; None for those of failed runs only."""
        return None if self.keep_folders is None else int(self.keep_folders * 1024**3)

    def options(self) -> Iterator[str]:
        """Those options of the command line that whoever goes on with the run wants again."""
        given = {
            "--device": None if self.device == "auto" else self.device,
            "--workers": self.workers,
            "--per-gpu": self.per_gpu,
            "--engine": self.engine,
            "--dask": self.dask,
            "--timeout": None if self.timeout is None else f"{self.timeout:g}",
            "--memory": None if self.memory is None else f"{self.memory:g}",
            "--keep-folders": None if self.keep_folders is None else f"{self.keep_folders:g}",
        }
        for name, value in given.items():
            if value is not None:
                yield from (name, str(value))
        if not self.witness:
            yield "--no-witness"
