"""What training costs: memory by hand, and probes that grow as far as time allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from examples.spirals import spirals
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape_study.study.pairs.options import Options, PanelOptions
from landscape_study.study.planning import cost
from landscape_study.study.planning.cost import (
    PARAMETER_COPIES,
    Pace,
    Probe,
    Setting,
    cell_bytes,
    measure,
)
from landscape_study.study.planning.cost import measure_by_growing as grow
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import Task
from tests.conftest import make_outcome, make_study
from tests.study.conftest import CLASSES, tiny_data
from tests.study.user_tasks import branching

HIDDEN = 1000


def wide() -> nn.Module:
    """What its first layer gives is kept once, though two operations need it."""
    return nn.Sequential(nn.Linear(6, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


PARAMETERS = 7 * HIDDEN + (HIDDEN + 1) * CLASSES


def make_setting(task: Task = spirals, *, threads: int = 1, **changes: object) -> Setting:
    """200 examples in batches of 20."""
    study = make_study().model_copy(update=changes)
    return Setting(study, task, task.data(), "cpu", threads)


def repeated(data: Data, copies: int) -> Data:
    """So many times the training examples."""
    inputs, targets = data.train_inputs.repeat(copies, 1), data.train_targets.repeat(copies)
    return Data(inputs, targets, data.test_inputs, data.test_targets)


@pytest.fixture
def bytes_of(make_task: Callable[..., Task]) -> Callable[..., int]:
    """A function: memory of one cell of the wide network."""

    def measure(batch_size: int, precision: str = "float32", copies: int = 40) -> int:
        task = make_task(wide, data=lambda: repeated(tiny_data("vector"), copies))
        options = Options(precision=precision)  # type: ignore[arg-type]
        return cell_bytes(make_setting(task, batch_size=batch_size, options=options))

    return measure


class TestMemory:
    def test_parameters_count_once_and_activations_by_the_batch(self, bytes_of):
        # Extrapolated to no batch, parameters alone are left.
        assert 2 * bytes_of(16) - bytes_of(32) == PARAMETER_COPIES * 4 * PARAMETERS
        of_example = (bytes_of(32) - bytes_of(16)) / 16
        assert of_example == pytest.approx(2 * 4 * HIDDEN, rel=0.05)

    def test_double_precision_takes_twice_as_much(self, bytes_of):
        assert bytes_of(16, "float64") == pytest.approx(2 * bytes_of(16), rel=0.01)

    def test_a_batch_is_no_larger_than_the_data(self, bytes_of):
        assert bytes_of(1000, copies=1) == bytes_of(23, copies=1) < bytes_of(24, copies=2)

    def test_bytes_are_normalized_first(self, make_task):
        data = tiny_data("vector")
        stored = Data(
            data.train_inputs.byte(), data.train_targets, data.test_inputs, data.test_targets
        )
        task = make_task(wide, data=lambda: stored, normalize=lambda inputs: inputs.float())
        assert cell_bytes(make_setting(task)) == cell_bytes(make_setting(make_task(wide)))

    def test_own_formulas_keep_the_columns_of_a_convolution(self, make_task):
        """One layer, padded: 2 channels of 25 pixels, each in 9 columns instead of once."""
        network = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Flatten(), nn.Linear(100, 3))
        setting = make_setting(make_task(lambda: network, "image"))
        more = cell_bytes(setting, traced=True) - cell_bytes(setting)
        assert more == pytest.approx(2 * 20 * 4 * 2 * 25 * (9 - 1), rel=0.2)

    def test_the_random_state_is_left_alone(self, bytes_of):
        before = torch.get_rng_state()
        bytes_of(8)
        assert torch.equal(torch.get_rng_state(), before)


class TestSetting:
    def test_the_batch_size_is_the_largest_of_its_panels_and_no_larger_than_the_data(self):
        assert make_setting().batch_size == 20
        assert make_setting(batch_size=1000).batch_size == 200
        setting = make_setting()
        first, second = setting.study.panels
        own = first.model_copy(update={"batch_size": 50, "options": PanelOptions(accumulate=5)})
        setting = replace(setting, study=setting.study.change(panels=[own, second]))
        assert (setting.batch_size, setting.at_once) == (50, 20)

    def test_the_last_partial_batch_of_an_epoch_counts_as_a_step(self):
        pace = Pace(step=2.0, test=0.1)
        assert pace.epoch(make_setting()) == pytest.approx(10 * 2.0 + 200 * 0.1)
        assert pace.epoch(make_setting(batch_size=30)) == pytest.approx(7 * 2.0 + 200 * 0.1)


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
    def test_they_stop_before_they_take_too_long(self, monkeypatch, of_example, sizes):
        clock, seen = [0.0], []

        def probe(_setting: Setting, engine: str, cells: int, examples: int) -> Probe:
            seen.append((cells, examples))
            clock[0] += cells * examples * of_example
            return Probe(engine, cells, examples, Pace(step=float(len(seen)), test=0.25))

        monkeypatch.setattr(cost, "measure", probe)
        monkeypatch.setattr(cost, "_now", lambda device: clock[0])
        found = grow(make_setting(), "vmap", 6)
        assert seen == sizes
        assert found == Probe("vmap", *sizes[-1], Pace(step=float(len(sizes)), test=0.25))

    @pytest.mark.parametrize(
        ("cells", "examples", "steps", "tests"),
        [(8, 20, 4, [67, 67]), (1, 150, 1, [100, 100]), (1, 47, 4, [100, 100])],
        ids=["small batches", "large batches", "odd batches"],
    )
    def test_it_is_paced_by_the_fastest_step_and_test_batch_of_whole_batches(
        self, monkeypatch, cells, examples, steps, tests
    ):
        """Of 200 examples each; the first epoch takes three times as long, as warming up does."""
        clock, calls = [0.0], []

        def train(task, data, panel, cells, *, batch_size, on_step, device, engine, **_):
            threads = torch.get_num_threads()
            calls.append((len(data.train_inputs), len(data.test_inputs), len(cells), threads))
            assert (device, engine) == ("cpu", "captured")
            for epoch in range(panel.epochs):
                for seconds in [2.0] * steps + [0.5] * len(tests):
                    on_step()
                    clock[0] += seconds * (3 - 2 * epoch)
            return make_outcome(len(cells), panel.epochs)

        monkeypatch.setattr(cost, "train_chunk", train)
        monkeypatch.setattr(cost, "_now", lambda device: clock[0])
        found = measure(make_setting(threads=2), "captured", cells, examples)
        assert calls == [(steps * examples, sum(tests), cells, 2)]
        pace = Pace(step=2.0 / cells * 20 / examples, test=0.5 / (tests[0] * cells))
        losses = tuple(make_outcome(cells, 2).curves["train_loss"][:, -1].tolist())
        assert found == Probe("captured", cells, examples, pace, losses)

    def test_what_others_do_meanwhile_does_not_count(self, monkeypatch):
        """On a busy machine a probe of one cell would decide for a plain loop, for good."""

        def train(task, data, panel, cells, *, on_step, **how):
            for _ in range(panel.epochs * (data.train.count // 20 + 2)):
                on_step()
                time.sleep(0.02)
            return make_outcome(len(cells), panel.epochs)

        monkeypatch.setattr(cost, "train_chunk", train)
        assert measure(make_setting(), "vmap", 1, 20).pace.step < 0.01

    @pytest.mark.slow
    @pytest.mark.parametrize("engine", ["vmap", "captured"])
    def test_a_real_probe_measures_and_leaves_everything_as_it_was(self, engine):
        threads, before = torch.get_num_threads(), torch.get_rng_state()
        probe = measure(make_setting(threads=threads + 1), engine, 3, 20)
        assert 0 < probe.pace.step < 1
        assert 0 < probe.pace.test < 1
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), before)

    def test_an_unfusable_task_is_probed_one_by_one(self):
        probe = grow(make_setting(branching), "referee", 2)
        assert (probe.engine, probe.cells, probe.examples) == ("referee", 2, 20)
        assert probe.pace.step > 0
