"""Plans: chunks, devices, memory, and what a dry run says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study import plan as plan_module
from study.cost import PARAMETER_COPIES
from study.errors import UsageError
from study.plan import Plan, choose_devices, make_plan
from study.spec import Cell, Study
from study.terminal import format_bytes, format_seconds, remaining_seconds
from tests.conftest import make_study


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(make_study(), device="cpu", workers=2)


class TestChunks:
    @given(count=st.integers(0, 400), size=st.integers(1, 64))
    def test_every_cell_once_in_few_even_chunks(self, plan: Plan, count: int, size: int):
        cells = [Cell(alpha=k + 1.0, lambda_=0.0) for k in range(count)]
        chunks = Plan(**{**vars(plan), "chunk": size}).chunks(cells)
        assert [cell for chunk in chunks for cell in chunk] == cells
        assert len(chunks) == -(-count // size)
        sizes = {len(chunk) for chunk in chunks}
        assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)

    def test_the_size_asked_for_is_taken(self):
        assert make_plan(make_study(), device="cpu", chunk=5).chunk == 5

    def test_little_memory_makes_small_chunks(self, monkeypatch: pytest.MonkeyPatch):
        class Memory:
            available = 0

        probe = make_plan(make_study(), device="cpu", workers=2)
        Memory.available = int(2 * 7 * probe.cell_bytes / plan_module.MEMORY_SHARE) + 2
        monkeypatch.setattr(plan_module.psutil, "virtual_memory", lambda: Memory)
        assert make_plan(make_study(), device="cpu", workers=2).chunk == 7
        Memory.available = 1
        assert make_plan(make_study(), device="cpu", workers=2).chunk == 1


class TestDevices:
    def test_one_worker_per_core_unless_asked(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        monkeypatch.setattr(plan_module.joblib, "cpu_count", lambda: 3)
        assert choose_devices("auto", None) == ("cpu",) * 3
        assert choose_devices("cpu", 5) == ("cpu",) * 5

    def test_one_worker_per_gpu_unless_asked(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert choose_devices("auto", None) == ("cuda:0", "cuda:1")
        assert choose_devices("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
        assert choose_devices("cpu", 1) == ("cpu",)

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
        resolved = make_plan(study, device="cpu").study
        assert (resolved.batch_size, resolved.panels[0].epochs) == (50, 60)

    def test_parameters_and_memory_are_counted(self, plan: Plan):
        assert plan.parameters == 2 * 32 + 32 + 32 * 32 + 32 + 32 * 2 + 2
        assert plan.cell_bytes > PARAMETER_COPIES * 4 * plan.parameters

    def test_a_little_work_is_done_by_vmap_without_further_probes(self, plan: Plan):
        assert plan.choice.engine == "vmap"


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
