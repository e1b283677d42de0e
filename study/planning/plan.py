"""From a study to work: which chunks, of what size, on which devices, by which engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import joblib

from landscape_study.study.agreement.permission import BELIEVED, Permission, Tried, Watch, no_watch
from landscape_study.study.agreement.rule_trial import OwnPairsTried
from landscape_study.study.own_code.loading import in_this_folder
from landscape_study.study.planning import known_programs, probing
from landscape_study.study.planning.cost import (
    Setting,
    cell_bytes,
    compiled_libraries,
    gpu_cell_bytes,
    reading_seconds,
)
from landscape_study.study.planning.fitting import fitting_data, resolved
from landscape_study.study.planning.layout import (
    CHUNK,
    REFEREE_CHUNK,
    Layout,
    Missing,
    choose_devices,
    panel_chunks,
    room,
)
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.records.identity import Identity
from landscape_study.study.spec.engine_names import engine_name
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store.prior_state import Begun, how_begun, missing_cells, shares
from landscape_study.study.tasks import is_user_task, load_task
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import TaskProtocol, identify
from landscape_study.study.training.engines import ENGINES, Programs
from landscape_study.study.training.engines.base import Libraries

AS_FAST_AS_POSSIBLE = RunSettings()


@dataclass(frozen=True)
class Plan:
    """All that is decided before training starts."""

    study: Study  # resolved: epochs and batch size are numbers
    task: TaskProtocol
    data: TaskData
    identity: Identity  # of the task as it is here
    layout: Layout
    choice: probing.Choice  # of the engine
    loading: float  # seconds that it took to load the task and its data
    parameters: int  # of one network
    cell_bytes: int  # memory that one cell takes while it trains
    no_checkpoint: str | None = None  # why none are kept; None if they are
    permission: Permission = BELIEVED
    programs: Programs = field(default_factory=Programs, compare=False)  # known, or of probes

    @property
    def engine(self) -> str:
        """What trains."""
        return self.choice.engine

    @property
    def width(self) -> int:
        """Cells of a whole chunk."""
        return self.choice.width

    @property
    def worker_bytes(self) -> int:
        """Memory of a worker, beside PyTorch itself."""
        together = self.layout.chunk if ENGINES[self.choice.engine].together else 1
        return together * self.cell_bytes

    @property
    def setting(self) -> Setting:
        """What the cost of a cell depends on."""
        return Setting(
            *(self.study, self.task, self.data, self.layout.devices[0], self.layout.threads),
            permission=self.permission,
            programs=self.programs,
        )

    @property
    def programs_name(self) -> str | None:
        """Under which name what is compiled is remembered, if it is."""
        is_compiled = self.choice.engine == "compiled"
        return known_programs.programs_name(self.study, self.identity) if is_compiled else None

    def libraries(self) -> Libraries:
        """What is compiled already of all that the workers will need, as far as that is known."""
        if self.choice.engine != "compiled":
            return {}
        known = known_programs.recall(self.programs_name) if self.programs_name else {}
        return known or compiled_libraries(self.setting)

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """The cells in as few chunks as possible, all nearly of one size."""
        return panel_chunks(cells, self.layout.chunk)


@in_this_folder()
def make_plan(
    study: Study,
    settings: RunSettings = AS_FAST_AS_POSSIBLE,
    *,
    store: str | None = None,
    tell: Callable[[str], None] = lambda message: None,
    watch: Watch = no_watch,
) -> Plan:
    """Load and check the task, and decide devices, chunk size and engine.

    Args:
        study: as the user asked for it.
        settings: where and how; what they leave open is chosen by memory and by measuring.
        store: where the study is to be trained, a database that need not exist yet: only what is
            missing there counts, and what was interrupted goes on as it began.
        tell: called with a word when something takes longer.
        watch: shows how far the engines are tried.

    Raises:
        TaskError: the task cannot be loaded, is wrong, or does not repeat.
        UsageError: a device that is not there, an error that the task does not have, an engine
            that cannot train it.
    """
    started = time.perf_counter()
    workers, chunk, engine = settings.workers, settings.chunk, settings.engine
    task = load_task(study.task)
    study = resolved(study, task)
    data = fitting_data(study, task, tell)
    loading = time.perf_counter() - started
    identity = identify(study.task, task, data)
    name = known_programs.programs_name(study, identity)
    programs = Programs(known_programs.recall(name) if name else None)
    alone = Setting(study, task, data, "cpu", threads=1, programs=programs)
    begun = how_begun(store, study.name) if store else None
    layout = _layout(settings, cell_bytes(alone), begun)
    permission = _permission(study, task, data, identity.fingerprint, watch)
    setting = replace(
        alone, device=layout.devices[0], threads=layout.threads, permission=permission
    )
    permission.finding("referee", setting.device)  # a task that does not repeat is refused
    largest = max(map(study.at_once, study.panels))
    most = chunk or _largest_chunk(setting, layout.devices, engine)
    layout = replace(layout, chunk=min(most, largest))
    choice = _told(setting, layout, engine, begun)
    if choice is None:
        missing = missing_cells(store, study) if store else _all_cells(study)
        layouts = [layout, *layout.others(chunks=chunk is None, workers=workers is None)]
        shares = [_share(setting, layout, missing) for layout in layouts]
        best, choice = probing.choose(shares, identity.fingerprint, tell)
        layout = layouts[best]
    if choice.engine == "referee" and chunk is None:
        layout = replace(layout, chunk=min(layout.chunk, REFEREE_CHUNK))
        choice = replace(choice, width=layout.width(study))
    return Plan(
        study=study,
        task=task,
        data=data,
        identity=identity,
        layout=layout,
        choice=choice,
        loading=loading,
        parameters=_parameters(task),
        cell_bytes=_cell_bytes(setting, choice.engine),
        no_checkpoint=permission.finding(choice.engine, setting.device).no_checkpoint,
        permission=permission,
        programs=setting.programs,
    )


def _told(
    setting: Setting, layout: Layout, engine: str | None, begun: Begun | None
) -> probing.Choice | None:
    """The engine that nothing need be measured for: asked for, used before, or a GPU's."""
    width = layout.width(setting.study)
    if engine is not None:
        return probing.given(setting, engine, width)
    if begun is not None and setting.why_not(engine_name(begun.engine)) is None:
        return probing.Choice(engine_name(begun.engine), begun.width or width)
    if setting.device.startswith("cuda"):
        return probing.on_gpu(setting, width)
    return None


@seeded(0)
def _parameters(task: TaskProtocol) -> int:
    return sum(p.numel() for p in task.network().parameters())


def _permission(
    study: Study, task: TaskProtocol, data: TaskData, hash_: str, watch: Watch
) -> Permission:
    """A user's own task and rules are tried; the built-in ones were, by the tests."""
    own = [panel for panel in study.panels if panel.own_code]
    known: Permission = BELIEVED
    if is_user_task(study.task):
        pairs = [panel.pair for panel in study.panels if not panel.own_code]
        # Whole batches: the few examples that it is tried with make no parts.
        options = study.options.model_copy(update={"accumulate": 1})
        known = Tried(study.task, task, data, pairs, options, hash_, watch)
    return OwnPairsTried(known, own, watch) if own else known


def _layout(settings: RunSettings, memory: int, begun: Begun | None) -> Layout:
    """Workers and their threads, of which the bits of results depend on the latter."""
    devices = choose_devices(settings.device, settings.workers, memory, per_gpu=settings.per_gpu)
    threads = max(1, joblib.cpu_count() // len(devices))
    if settings.workers is None and begun is not None and begun.threads and devices[0] == "cpu":
        devices, threads = ("cpu",) * begun.workers, begun.threads
    return Layout(devices, threads, chunk=1)


def _largest_chunk(setting: Setting, devices: tuple[str, ...], engine: str | None) -> int:
    """Cells that gain by being trained together, and for which there is memory."""
    fitting = room(devices) // _cell_bytes(setting, engine)
    return max(1, min(CHUNK[devices[0].partition(":")[0]], fitting))


def _share(setting: Setting, layout: Layout, missing: Missing) -> probing.Share:
    """What a worker has to do."""
    return probing.Share(
        replace(setting, threads=layout.threads),
        layout.width(setting.study),
        layout.busiest(setting.study, missing),
        room(layout.devices),
    )


def _cell_bytes(setting: Setting, engine: str | None) -> int:
    """Memory that a cell takes in a chunk, with an engine that may not be known yet."""
    if setting.device.startswith("cuda"):
        return gpu_cell_bytes(setting, engine or probing.on_gpu(setting, 1).engine)
    return cell_bytes(setting, traced=engine is not None and ENGINES[engine].traced)


def estimate_seconds(plan: Plan, missing: Missing | None = None) -> float:
    """Wall time to train what is missing.

    Args:
        plan: of the study.
        missing: cells still to be trained, by panel, for each seed; all of the study if None.
    """
    missing = _all_cells(plan.study) if missing is None else missing
    cell_epochs = plan.layout.busiest(plan.study, missing)
    if cell_epochs == 0:
        return 0.0
    together = plan.width if ENGINES[plan.engine].together else 1
    reading = reading_seconds(plan.setting) / together
    pace = probing.pace(plan.setting, plan.choice)
    return cell_epochs * (pace.epoch(plan.setting) + reading)


def _all_cells(study: Study) -> Missing:
    seeds = len(study.seeds)
    return {p.name: shares(study.trainings(p), seeds) for p in study.panels}
