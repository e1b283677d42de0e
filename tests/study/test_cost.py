"""What training costs: memory by hand, and probes that grow as far as time allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from study import cost
from study.cost import PARAMETER_COPIES, Pace, cell_bytes, estimate_seconds, measure_pace
from study.plan import Plan, make_plan
from study.tasks.task import Data, Task
from tests.conftest import make_study
from tests.study.conftest import CLASSES, tiny_data

HIDDEN = 1000


def wide() -> nn.Module:
    """What its first layer gives is kept once, though two operations need it."""
    return nn.Sequential(nn.Linear(6, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


PARAMETERS = 7 * HIDDEN + (HIDDEN + 1) * CLASSES


@pytest.fixture(scope="module")
def plan() -> Plan:
    """200 examples in batches of 20, at most 6 cells at once, two workers."""
    return make_plan(make_study(), device="cpu", workers=2)


@pytest.fixture
def bytes_of(make_task: Callable[..., Task]) -> Callable[..., int]:
    """A function: memory of one cell of the wide network."""

    def measure(batch_size: int, dtype: torch.dtype = torch.float32, copies: int = 40) -> int:
        data = tiny_data("vector")
        inputs, targets = data.train_inputs.repeat(copies, 1), data.train_targets.repeat(copies)
        more = Data(inputs, targets, data.test_inputs, data.test_targets)
        return cell_bytes(make_task(wide), more, batch_size, dtype)

    return measure


class TestMemory:
    def test_parameters_count_once_and_activations_by_the_batch(self, bytes_of):
        # Extrapolated to no batch, parameters alone are left.
        assert 2 * bytes_of(16) - bytes_of(32) == PARAMETER_COPIES * 4 * PARAMETERS
        of_example = (bytes_of(32) - bytes_of(16)) / 16
        assert of_example == pytest.approx(2 * 4 * HIDDEN, rel=0.05)

    def test_double_precision_takes_twice_as_much(self, bytes_of):
        assert bytes_of(16, torch.float64) == pytest.approx(2 * bytes_of(16), rel=0.01)

    def test_a_batch_is_no_larger_than_the_data(self, bytes_of):
        assert bytes_of(1000, copies=1) == bytes_of(23, copies=1) < bytes_of(24, copies=2)

    def test_bytes_are_normalized_first(self, make_task):
        data = tiny_data("vector")
        stored = Data(
            data.train_inputs.byte(), data.train_targets, data.test_inputs, data.test_targets
        )
        task = make_task(wide, normalize=lambda inputs: inputs.float())
        dtype = torch.float32
        assert cell_bytes(task, stored, 8, dtype) == cell_bytes(make_task(wide), data, 8, dtype)

    def test_the_random_state_is_left_alone(self, bytes_of):
        before = torch.get_rng_state()
        bytes_of(8)
        assert torch.equal(torch.get_rng_state(), before)


class TestProbes:
    @pytest.mark.parametrize(
        ("cells", "examples", "sizes"),
        [
            (48, 50, [(1, 8), (1, 32), (1, 50), (4, 50), (16, 50), (48, 50)]),
            (1, 128, [(1, 8), (1, 32), (1, 128)]),
            (5, 8, [(1, 8), (4, 8), (5, 8)]),
            (1, 3, [(1, 3)]),
        ],
    )
    def test_first_the_batch_grows_then_the_chunk(self, cells, examples, sizes):
        assert list(cost._probe_sizes(cells, examples)) == sizes

    @given(cells=st.integers(1, 600), examples=st.integers(1, 600))
    def test_they_end_at_the_whole_chunk_by_steps_of_four_at_most(self, cells, examples):
        sizes = list(cost._probe_sizes(cells, examples))
        work = [c * e for c, e in sizes]
        assert sizes[-1] == (cells, examples)
        assert work[0] <= cost.PROBE_EXAMPLES
        assert all(a < b <= 4 * a for a, b in pairwise(work))

    @pytest.mark.parametrize(
        ("of_example", "sizes"),
        [
            (0.0, [(1, 8), (1, 20), (4, 20), (6, 20)]),
            (0.05, [(1, 8), (1, 20), (4, 20)]),  # 0.4, 1 and 4 s; a fifth of 16 s is too long
            (100.0, [(1, 8)]),
        ],
        ids=["fast", "slow", "one is too slow"],
    )
    def test_they_stop_before_they_take_too_long(self, plan, monkeypatch, of_example, sizes):
        clock, seen = [0.0], []

        def probe(_plan: Plan, cells: int, examples: int) -> Pace:
            seen.append((cells, examples))
            clock[0] += cells * examples * of_example
            return Pace(step=float(len(seen)), test=0.25)

        monkeypatch.setattr(cost, "_probe", probe)
        monkeypatch.setattr(cost.time, "perf_counter", lambda: clock[0])
        pace = measure_pace(plan)
        assert seen == sizes
        # The last probe's, in proportion to the whole batch.
        assert pace == Pace(step=len(sizes) * 20 / sizes[-1][1], test=0.25)

    def test_a_probe_trains_whole_batches_on_the_first_device_alone(self, plan, monkeypatch):
        calls = []

        def train(task, data, panel, cells, *, batch_size, on_step, device, fuse, **_):
            calls.append((len(data.train_inputs), len(data.test_inputs), len(cells), device, fuse))
            assert panel.epochs == 1
            for _ in range(len(data.train_inputs) // batch_size + 1):
                on_step()

        monkeypatch.setattr(cost, "train_chunk", train)
        found = cost._probe(plan, 8, 20), cost._probe(plan, 1, 150)
        assert calls == [(80, 40, 8, "cpu", True), (150, 200, 1, "cpu", True)]  # of 200 examples
        assert all(pace.step > 0 and pace.test > 0 for pace in found)

    def test_a_real_probe_measures_and_leaves_everything_as_it_was(self, plan):
        threads, before = torch.get_num_threads(), torch.get_rng_state()
        pace = measure_pace(plan)
        assert pace.step > 0
        assert pace.test > 0
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), before)

    def test_an_unfusable_task_is_probed_one_by_one(self, plan):
        task = "tests.study.user_tasks:branching"
        pace = measure_pace(make_plan(make_study(task=task), device="cpu", workers=1))
        assert pace.step > 0


class TestEstimate:
    @pytest.fixture
    def known_pace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost, "measure_pace", lambda plan: Pace(step=2.0, test=0.1))

    @pytest.mark.usefixtures("known_pace")
    def test_each_panel_by_its_own_budget(self, plan):
        sgd, adamw = plan.study.panels
        panels = (sgd, adamw.model_copy(update={"epochs": 10}))
        longer = replace(plan, study=plan.study.model_copy(update={"panels": panels}))
        epoch = 10 * 2.0 + 200 * 0.1  # of one cell
        for missing, cell_epochs in (
            ({"sgd": [3, 3], "adamw": [0, 0]}, 6 * 3),
            ({"sgd": [0, 0], "adamw": [3, 3]}, 6 * 10),
            ({"sgd": [1, 2], "adamw": [3, 4]}, 3 * 3 + 7 * 10),
        ):
            seconds = estimate_seconds(longer, missing)
            assert seconds == pytest.approx(cell_epochs * epoch / 2)  # two workers

    @pytest.mark.usefixtures("known_pace")
    def test_workers_without_a_chunk_do_not_count(self, plan):
        seconds = estimate_seconds(plan, {"sgd": [6], "adamw": [0]})
        assert seconds == pytest.approx(6 * 3 * (10 * 2.0 + 200 * 0.1))

    @pytest.mark.usefixtures("known_pace")
    def test_the_last_partial_batch_counts_as_a_step(self, plan):
        other = replace(plan, study=plan.study.model_copy(update={"batch_size": 30}))
        seconds = estimate_seconds(other, {"sgd": [1], "adamw": [0]})
        assert seconds == pytest.approx(3 * (7 * 2.0 + 200 * 0.1))

    @pytest.mark.usefixtures("known_pace")
    def test_all_of_the_study_if_nothing_is_said(self, plan):
        seeds = len(plan.study.seeds)
        whole = {panel.name: [len(panel.grid.cells())] * seeds for panel in plan.study.panels}
        assert estimate_seconds(plan) == estimate_seconds(plan, whole) > 0

    def test_where_nothing_is_missing_nothing_is_timed(self, plan, monkeypatch):
        monkeypatch.setattr(cost, "measure_pace", None)
        assert estimate_seconds(plan, {"sgd": [0, 0], "adamw": [0, 0]}) == 0
