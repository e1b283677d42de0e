"""From a study to work: which chunks, of what size, on which devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import joblib
import psutil
import torch

from study import tuning
from study.cost import PARAMETER_COPIES, Setting, cell_bytes, gpu_cell_bytes
from study.engines import ENGINES
from study.engines.check import why_not
from study.errors import UsageError
from study.metrics import TOP5_CLASSES, metrics_of
from study.spec import Cell, Study
from study.store import engine_begun, missing_cells
from study.tasks import load_task
from study.tasks.task import Data, TaskProtocol, check_task, fingerprint

# Cells trained together where memory does not forbid it: on a CPU more of them leave the cache,
# on a GPU more of them no longer fill it better.
CHUNK = {"cpu": 48, "cuda": 512}
# Cells that are trained one by one gain nothing from each other, and a chunk that dies is lost.
ONE_BY_ONE_CHUNK = 8
MEMORY_SHARE = 0.6  # of the free memory that chunks may take


Missing = Mapping[str, Sequence[int]]  # cells by panel, for each seed


@dataclass(frozen=True)
class Plan:
    """All that is decided before training starts."""

    study: Study  # resolved: epochs and batch size are numbers
    task: TaskProtocol
    data: Data
    fingerprint: str
    devices: tuple[str, ...]  # one worker each
    threads: int  # of each worker on a CPU
    choice: tuning.Choice  # of the engine
    chunk: int  # most cells trained together
    parameters: int  # of one network
    cell_bytes: int  # memory that one cell takes while it trains

    @property
    def worker_bytes(self) -> int:
        """Memory of a worker, beside PyTorch itself."""
        if self.choice.engine == "one-by-one":  # one batch at a time
            resting = PARAMETER_COPIES * self.parameters * self.setting.dtype.itemsize
            return self.cell_bytes + (self.chunk - 1) * resting
        return self.chunk * self.cell_bytes

    @property
    def setting(self) -> Setting:
        """What the cost of a cell depends on."""
        return Setting(self.study, self.task, self.data, self.devices[0], self.threads)

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """The cells in as few chunks as possible, all nearly of one size."""
        return panel_chunks(cells, self.chunk)


def make_plan(
    study: Study,
    *,
    device: str = "auto",
    workers: int | None = None,
    chunk: int | None = None,
    engine: str | None = None,
    store: str | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Load and check the task, and decide devices, chunk size and engine.

    Args:
        study: as the user asked for it.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        workers: how many; None for one per core, or one per GPU, as far as memory allows.
        chunk: most cells trained together; None to choose by device and memory.
        engine: one of `study.engines.ENGINES`; None to choose by measuring.
        store: where the study is to be trained, a database that need not exist yet: only what is
            missing there counts, and what was interrupted goes on by the engine it began with.
        tell: called with a word when something takes longer.

    Raises:
        TaskError: the task cannot be loaded or is wrong.
        UsageError: a device that is not there, an error that the task does not have, an engine
            that cannot train it.
    """
    task = load_task(study.task)
    study = study.resolve(batch_size=task.batch_size, epochs=task.epochs)
    data = check_task(task, study.batch_size or task.batch_size)
    _require_metrics(study, task)
    hash_ = fingerprint(task, data)
    alone = Setting(study, task, data, "cpu", threads=1)
    devices = choose_devices(device, workers, cell_bytes(alone))
    threads = max(1, joblib.cpu_count() // len(devices))
    setting = replace(alone, device=devices[0], threads=threads)
    room, memory = _room(devices), _cell_bytes(setting, engine)
    most = chunk or max(1, min(CHUNK[devices[0].partition(":")[0]], room // memory))
    width = max(len(panel_chunks(panel.grid.cells(), most)[0]) for panel in study.panels)
    begun = engine_begun(store, study.name) if store else None
    if engine is not None:
        choice = tuning.given(setting, engine, width)
    elif begun is not None and why_not(begun, *setting.network, setting.device) is None:
        choice = tuning.Choice(begun, width)
    elif setting.device.startswith("cuda"):
        choice = tuning.on_gpu(setting, width)
    else:
        missing = missing_cells(store, study) if store else _all_cells(study)
        share = _cell_epochs(study, missing) / len(devices)
        choice = tuning.choose(setting, width, share, room, hash_, tell)
    return Plan(
        study=study,
        task=task,
        data=data,
        fingerprint=hash_,
        devices=devices,
        threads=threads,
        choice=choice,
        chunk=min(most, ONE_BY_ONE_CHUNK) if choice.engine == "one-by-one" else most,
        parameters=sum(p.numel() for p in task.network().parameters()),
        cell_bytes=_cell_bytes(setting, choice.engine),
    )


def _cell_bytes(setting: Setting, engine: str | None) -> int:
    """Memory that a cell takes in a chunk, with an engine that may not be known yet."""
    if setting.device.startswith("cuda"):
        return gpu_cell_bytes(setting, engine or tuning.on_gpu(setting, 1).engine)
    return cell_bytes(setting, traced=engine is not None and ENGINES[engine].traced)


def estimate_seconds(plan: Plan, missing: Missing | None = None) -> float:
    """Wall time to train what is missing.

    Args:
        plan: of the study.
        missing: cells still to be trained, by panel, for each seed; all of the study if None.
    """
    missing = _all_cells(plan.study) if missing is None else missing
    cell_epochs = _cell_epochs(plan.study, missing)
    if cell_epochs == 0:
        return 0.0
    pace = tuning.pace(plan.setting, plan.choice)
    chunks = sum(math.ceil(count / plan.chunk) for counts in missing.values() for count in counts)
    return cell_epochs * pace.epoch(plan.setting) / min(len(plan.devices), chunks)


def _all_cells(study: Study) -> Missing:
    return {p.name: [len(p.grid.cells())] * len(study.seeds) for p in study.panels}


def _cell_epochs(study: Study, missing: Missing) -> int:
    """Epochs times cells that are missing."""
    return sum(sum(missing[p.name]) * (p.epochs or 0) for p in study.panels)


def _require_metrics(study: Study, task: TaskProtocol) -> None:
    """Check, before anything is trained, that the task has what the study wants recorded."""
    wanted = {"error": (study.error,), "figure.metrics": study.figure.metrics}
    for field, metrics in wanted.items():
        for metric in metrics:
            if metric not in metrics_of(task.classes):
                raise UsageError(
                    f"study '{study.name}': {field} = \"{metric}\" needs more than "
                    f"{TOP5_CLASSES} classes, task '{study.task}' has {task.classes}: take a task "
                    'that has more, or a study file that says "test_error" instead; '
                    "`landscape show` prints a preset's"
                )


def panel_chunks(cells: Sequence[Cell], most: int) -> list[Sequence[Cell]]:
    """The cells in as few chunks of at most so many as possible, all nearly of one size."""
    count = math.ceil(len(cells) / most)
    bounds = [round(i * len(cells) / count) for i in range(count + 1)] if count else [0]
    return [cells[a:b] for a, b in pairwise(bounds)]


def choose_devices(device: str, workers: int | None, memory: int = 0) -> tuple[str, ...]:
    """The device of each worker.

    Args:
        device: "cpu", "cuda" or "auto".
        workers: how many; None for one per core, or one per GPU, as far as memory allows.
        memory: bytes that one cell takes.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    gpus = torch.cuda.device_count()
    if device == "cuda" and gpus == 0:
        raise UsageError("--device cuda: PyTorch sees no CUDA device here: use --device cpu")
    if device == "cpu" or gpus == 0:
        # Processes of one thread outrun one process of many, as long as each has room for a cell.
        fitting = _room(("cpu",)) // max(1, memory)
        return ("cpu",) * (workers or max(1, min(joblib.cpu_count(), fitting)))
    return tuple(f"cuda:{i % gpus}" for i in range(workers or gpus))


def _room(devices: tuple[str, ...]) -> int:
    """Bytes that the chunk of one worker may take."""
    if devices[0].startswith("cuda"):
        free = min(torch.cuda.mem_get_info(d)[0] // devices.count(d) for d in set(devices))
    else:
        free = psutil.virtual_memory().available // len(devices)
    return int(free * MEMORY_SHARE)
