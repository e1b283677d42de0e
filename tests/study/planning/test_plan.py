"""Plans: chunks, devices, memory, the engine, and what a dry run says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from landscape_study.study.console.progress import remaining_seconds
from landscape_study.study.errors import UsageError
from landscape_study.study.planning import layout as layout_module
from landscape_study.study.planning import plan as plan_module
from landscape_study.study.planning import probing
from landscape_study.study.planning.cost import PARAMETER_COPIES, Pace
from landscape_study.study.planning.layout import choose_devices, panel_chunks
from landscape_study.study.planning.objective_plan import plan_objective
from landscape_study.study.planning.plan import Plan, estimate_seconds, make_plan
from landscape_study.study.planning.probing import Choice, Share
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.quantities import format_bytes, format_seconds
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import provenance
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from landscape_study.study.training.compiling import library
from landscape_study.study.training.engines import ENGINES
from tests.conftest import SPIRALS, make_study
from tests.study.store.test_store import train_all

BRANCHING = "tests.study.user_tasks:branching"


@pytest.fixture(scope="module")
def plan() -> Plan:
    """200 examples in batches of 20; six cells in each of two panels; two workers."""
    return make_plan(make_study(), RunSettings(device="cpu", workers=2))


@pytest.fixture
def free_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its `available` is how many bytes this host has left."""

    class Memory:
        available = 2**40

    monkeypatch.setattr(layout_module, "free_memory", lambda: Memory.available)
    return Memory


@pytest.fixture
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(plan_module.joblib, "cpu_count", lambda: 3)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 2 * 10**9))
    monkeypatch.setattr(plan_module, "gpu_cell_bytes", lambda setting, engine: 10**6)


LARGE = make_study(pairs=("sgd",), lambdas=tuple(k / 100 for k in range(60)))  # 120 cells


def room_for(cells: int, plan: Plan) -> int:
    """Free memory that so many cells fit into."""
    return int(cells * plan.cell_bytes / layout_module.MEMORY_SHARE) + 2


class TestChunks:
    def test_the_size_asked_for_is_taken(self):
        plan = make_plan(make_study(), RunSettings(device="cpu", chunk=5, engine="vmap"))
        cells = plan.study.panels[0].grid.cells()
        assert plan.layout.chunk == 5
        assert plan.chunks(cells) == panel_chunks(cells, 5) == [cells[:3], cells[3:]]

    @pytest.mark.parametrize(("chunk", "width"), [(5, 3), (4, 3), (6, 6), (100, 6)])
    def test_the_engine_is_chosen_for_the_chunks_that_there_will_be(self, chunk: int, width: int):
        """Of panels of six cells."""
        plan = make_plan(make_study(), RunSettings(device="cpu", chunk=chunk, engine="vmap"))
        assert plan.choice == Choice("vmap", width)

    def test_one_by_one_chunks_are_small_since_nothing_is_gained_by_large_ones(self):
        for chunk, taken in ((None, layout_module.REFEREE_CHUNK), (12, 12), (3, 3)):
            plan = make_plan(LARGE, RunSettings(device="cpu", chunk=chunk, engine="referee"))
            assert (plan.layout.chunk, plan.choice.width) == (taken, taken)

    def test_little_memory_makes_small_chunks(self, plan: Plan, free_memory: Any):
        for cells, chunk in ((2 * 7, 7), (0, 1), (10**6, layout_module.CHUNK["cpu"])):
            free_memory.available = room_for(cells, plan)
            asked = RunSettings(device="cpu", workers=2, engine="vmap")
            assert make_plan(LARGE, asked).layout.chunk == chunk


class TestDevices:
    @pytest.mark.usefixtures("three_cores")
    def test_one_worker_per_core_unless_asked(self):
        assert choose_devices("auto", None) == ("cpu",) * 3
        assert choose_devices("cpu", 5) == ("cpu",) * 5

    @pytest.mark.usefixtures("three_cores")
    @pytest.mark.parametrize(
        ("cells", "workers", "found", "threads"),
        [(0, None, 1, 3), (1, None, 1, 3), (2, None, 2, 1), (50, None, 3, 1), (0, 2, 2, 1)],
    )
    def test_as_many_workers_as_there_is_room_for_cells_share_the_cores(
        self, plan: Plan, free_memory: Any, cells, workers, found, threads
    ):
        free_memory.available = room_for(cells, plan)
        plan = make_plan(make_study(), RunSettings(workers=workers, engine="vmap"))
        assert plan.layout.devices == ("cpu",) * found
        assert plan.layout.threads == plan.setting.threads == threads

    @pytest.mark.usefixtures("two_gpus")
    def test_one_worker_per_gpu_unless_asked(self):
        assert choose_devices("auto", None) == ("cuda:0", "cuda:1")
        assert choose_devices("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
        assert choose_devices("cpu", 1) == ("cpu",)

    @pytest.mark.usefixtures("two_gpus")
    def test_several_workers_on_each_gpu(self):
        both = ("cuda:0", "cuda:1")
        assert choose_devices("auto", None, per_gpu=2) == (*both, *both)
        assert choose_devices("cuda", None, per_gpu=1) == both
        with pytest.raises(UsageError, match="--per-gpu 2: --device cpu takes none"):
            choose_devices("cpu", None, per_gpu=2)

    @pytest.mark.usefixtures("two_gpus")
    def test_runs_of_commands_share_gpus_and_cores(self, monkeypatch):
        monkeypatch.setattr("joblib.cpu_count", lambda: 9)
        table = {"name": "own", "command": ["true", "{alpha}", "{lambda}"], "metric": "loss"}
        study = Study.from_dict(table | {"alpha": [1.0], "lambda": [0.0]}, "test")
        layout = plan_objective(study, RunSettings(per_gpu=2)).layout
        assert layout.devices == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
        assert layout.threads == 2

    def test_several_workers_on_each_gpu_where_there_is_none(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(UsageError, match=r"sees no GPU here.*--workers instead"):
            choose_devices("auto", None, per_gpu=2)

    def test_cuda_where_there_is_none(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(UsageError, match="no CUDA device"):
            choose_devices("cuda", None)


class TestPlan:
    def test_the_task_fills_what_the_study_leaves_open(self):
        study = Study.from_toml(
            'name = "open"\ntask = "digits"\nalpha = [1]\nlambda = [0]\n[[panel]]\npair = "sgd"\n',
            "test",
        )
        resolved = make_plan(study, RunSettings(device="cpu", engine="vmap")).study
        assert (resolved.batch_size, resolved.panels[0].epochs) == (50, 60)

    def test_parameters_and_memory_are_counted(self, plan: Plan):
        assert plan.parameters == 2 * 32 + 32 + 32 * 32 + 32 + 32 * 2 + 2
        assert plan.cell_bytes > PARAMETER_COPIES * 4 * plan.parameters


class TestEngine:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The epochs of cells of one worker that an engine was chosen for; it is "captured"."""
        epochs: list[float] = []

        def choose(shares: list[Share], *_: Any) -> tuple[int, Choice]:
            epochs.append(shares[0].cell_epochs)
            return 0, Choice("captured", shares[0].width)

        monkeypatch.setattr(probing, "choose", choose)
        return epochs

    def test_it_is_chosen_by_measuring(self, plan: Plan):
        assert (plan.choice.engine, plan.choice.width) == ("vmap", 6)
        assert plan.choice.pace is not None

    def test_what_cannot_be_fused_is_trained_by_the_referee_and_says_why(self):
        plan = make_plan(LARGE.change(task=BRANCHING), RunSettings(device="cpu", workers=1))
        assert (plan.choice.engine, plan.layout.chunk) == (
            "referee",
            layout_module.REFEREE_CHUNK,
        )
        assert plan.choice.why.startswith("engine vmap: RuntimeError: ")

    @pytest.mark.parametrize("engine", ENGINES)
    def test_what_is_asked_for_is_taken_unmeasured(
        self, engine: str, asked: list[float], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(library, "why_not", lambda: None)
        plan = make_plan(make_study(), RunSettings(device="cpu", workers=1, engine=engine))
        assert plan.choice == Choice(engine, 6)
        assert asked == []

    def test_what_is_asked_for_and_cannot_be_is_refused(self):
        with pytest.raises(UsageError, match="--engine vmap: it does not train task"):
            make_plan(make_study(task=BRANCHING), RunSettings(device="cpu", engine="vmap"))

    def test_it_is_chosen_for_each_workers_share_of_all_epochs(self, asked: list[float]):
        """Two panels of six cells for three epochs, and two seeds."""
        for workers, epochs in ((1, 72), (2, 36)):
            plan = make_plan(make_study(seeds=2), RunSettings(device="cpu", workers=workers))
            assert (plan.choice.engine, asked.pop()) == ("captured", epochs)

    def test_only_what_is_missing_in_the_store_counts(self, store: Store, asked: list[float]):
        where = RunSettings(device="cpu", workers=1)
        make_plan(make_study(), where, store=store.url)
        make_plan(make_study(), where, store=store.url.replace("test.db", "none.db"))
        train_all(store, make_study())
        make_plan(make_study(), where, store=store.url)
        make_plan(make_study(lambdas=(0.0, 0.001, 0.01, 0.1)), where, store=store.url)
        assert asked == [36, 36, 0, 12]

    def test_what_was_interrupted_goes_on_by_the_engine_it_began_with(
        self, store: Store, asked: list[float]
    ):
        store.create(make_study(), Identity("abc"), lambda cells: panel_chunks(cells, 2))
        store.start_run("small", provenance(["cpu"], "referee"))
        where = RunSettings(device="cpu", workers=1)
        assert make_plan(make_study(), where, store=store.url).choice == Choice("referee", 6)
        assert asked == []
        by_vmap = replace(where, engine="vmap")
        for plan in (
            make_plan(make_study(), where),
            make_plan(make_study(), by_vmap, store=store.url),
            make_plan(make_study(name="other"), where, store=store.url),
        ):
            assert plan.choice.engine != "referee"

    def test_and_with_its_workers_threads_and_width_unless_others_are_asked_for(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        store.create(make_study(), Identity("abc"), lambda cells: panel_chunks(cells, 2))
        how = {"threads": 3, "width": 2}
        store.start_run("small", provenance(["cpu"] * 5, "vmap") | how)
        plan = make_plan(make_study(), RunSettings(device="cpu"), store=store.url)
        assert (plan.layout.devices, plan.layout.threads) == (("cpu",) * 5, 3)
        assert plan.choice == Choice("vmap", 2)
        asked = make_plan(make_study(), RunSettings(device="cpu", workers=2), store=store.url)
        assert len(asked.layout.devices) == 2

    def test_what_was_begun_by_an_engine_that_cannot_go_on_is_chosen_anew(
        self, store: Store, asked: list[float]
    ):
        study = make_study(task=BRANCHING)
        store.create(study, Identity("abc"), lambda cells: panel_chunks(cells, 2))
        store.start_run("small", provenance(["cpu"], "vmap"))
        make_plan(study, RunSettings(device="cpu", workers=1), store=store.url)
        assert asked == [36]

    @pytest.mark.usefixtures("two_gpus")
    @pytest.mark.parametrize(("task", "engine"), [(SPIRALS, "captured"), (BRANCHING, "referee")])
    def test_on_gpus_nothing_is_timed(self, task: str, engine: str, asked: list[float]):
        plan = make_plan(make_study(task=task), RunSettings(device="auto"))
        assert plan.layout.devices == ("cuda:0", "cuda:1")
        assert (plan.choice.engine, plan.choice.pace) == (engine, None)
        assert asked == []

    def test_a_word_is_passed_on(self, monkeypatch: pytest.MonkeyPatch):
        def choose(shares: list[Share], _hash: str, tell: Any) -> tuple[int, Choice]:
            tell("this takes longer")
            return 0, Choice("vmap", shares[0].width)

        monkeypatch.setattr(probing, "choose", choose)
        told: list[str] = []
        make_plan(make_study(), RunSettings(device="cpu"), tell=told.append)
        assert told == ["this takes longer"]

    def test_a_referees_worker_holds_one_cell_at_a_time(self, plan: Plan):
        few = replace(plan, layout=replace(plan.layout, chunk=3))
        alone = replace(few, choice=Choice("referee", 6))
        assert alone.worker_bytes == plan.cell_bytes
        assert few.worker_bytes == 3 * plan.cell_bytes > alone.worker_bytes

    def test_the_room_that_a_chunk_may_take_is_told(
        self, free_memory: Any, monkeypatch: pytest.MonkeyPatch
    ):
        found: list[float] = []

        def choose(shares: list[Share], *_: Any) -> tuple[int, Choice]:
            found.extend(share.room for share in shares)
            return 0, Choice("vmap", shares[0].width)

        monkeypatch.setattr(probing, "choose", choose)
        make_plan(make_study(), RunSettings(device="cpu", workers=2, chunk=3))
        assert found == [int(2**39 * layout_module.MEMORY_SHARE)]


class TestEstimate:
    EPOCH = 10 * 2.0 + 200 * 0.1  # seconds of one cell

    @pytest.fixture
    def timed(self, plan: Plan) -> Plan:
        """A step takes 2 s, a test 0.1 s."""
        return replace(plan, choice=replace(plan.choice, pace=Pace(step=2.0, test=0.1)))

    def test_each_panel_by_its_own_budget(self, timed: Plan):
        sgd, adamw = timed.study.panels
        panels = (sgd, adamw.model_copy(update={"epochs": 10}))
        longer = replace(timed, study=timed.study.model_copy(update={"panels": panels}))
        for missing, busiest in (
            ({"sgd": [3, 3], "adamw": [0, 0]}, 3 * 3),
            ({"sgd": [0, 0], "adamw": [3, 3]}, 3 * 10),
            ({"sgd": [1, 2], "adamw": [3, 4]}, 4 * 10),  # the other one trains the rest
        ):
            seconds = estimate_seconds(longer, missing)
            assert seconds == pytest.approx(busiest * self.EPOCH)  # of two workers

    def test_workers_without_a_chunk_do_not_count(self, timed: Plan):
        seconds = estimate_seconds(timed, {"sgd": [6], "adamw": [0]})
        assert seconds == pytest.approx(6 * 3 * self.EPOCH)

    def test_all_of_the_study_if_nothing_is_said(self, timed: Plan):
        assert estimate_seconds(timed) == pytest.approx(2 * 6 * 3 * self.EPOCH / 2)

    def test_a_choice_that_was_not_measured_is_measured_now(
        self, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(probing, "pace", lambda setting, choice: Pace(step=3.0, test=0.0))
        asked = replace(plan, choice=Choice("vmap", 6))
        seconds = estimate_seconds(asked, {"sgd": [1], "adamw": [0]})
        assert seconds == pytest.approx(3 * 10 * 3.0)

    def test_where_nothing_is_missing_nothing_is_timed(
        self, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(probing, "pace", None)
        assert estimate_seconds(plan, {"sgd": [0, 0], "adamw": [0, 0]}) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(1, "0.1 MB"), (20_400_000, "20.4 MB"), (3.9e9, "3.9 GB")]
)
def test_sizes_are_said_in_mb_and_gb(count: float, text: str):
    assert format_bytes(count) == text


def test_the_time_left_counts_this_runs_pace_only():
    pace = {"total": 100, "finished_before": 40, "elapsed": 10.0}
    assert remaining_seconds(finished=60, **pace) == pytest.approx(20.0)
    assert remaining_seconds(finished=40, **pace) is None
    assert remaining_seconds(finished=100, **pace) == 0.0
