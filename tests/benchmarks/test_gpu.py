"""The GPU benchmark, all of it on the CPU: nothing is tried for the first time on a card."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import card, gpu, gpu_rows, slots
from benchmarks.gpu import comparisons, main, network_facts
from benchmarks.gpu_rows import Bench, best_row
from benchmarks.gpu_section import gpu_section
from benchmarks.measure import REPOSITORY, BenchmarkError
from benchmarks.networks import NETWORKS
from benchmarks.results import Settings, read
from benchmarks.synthetic import ARITHMETIC, SYNTHETIC, Synthetic, epoch_flops
from click.testing import CliRunner

from landscape_study.study.planning.cost import Pace, Probe
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data_sets import CHANNELS, SIDE
from landscape_study.study.training.engines import ENGINES
from tests.benchmarks.test_main import README, keys
from tests.benchmarks.test_tables import MACHINE, one

pytestmark = pytest.mark.slow

DIGITS = SYNTHETIC["digits"]


def row(arithmetic: str, engine: str, cells: int, per_second: float, **more: Any) -> dict:
    facts = {"network": "digits", "engine": engine, "arithmetic": arithmetic, "cells": cells}
    found = {"cells_per_s": one(per_second), "epoch_s": one(0.01), "bytes_per_cell": 2e6}
    return facts | ({} if "failed" in more else found) | more


ROWS = [
    row("float32", "referee", 1, 2.0),
    row("float32", "captured", 16, 30.0),
    row("float32", "vmap", 64, 90.0),
    row("float32", "captured", 64, 0.0, failed="OutOfMemoryError: too little"),
    row("bf16", "captured", 16, 99.0),
]
RATES = {"float32": one(1e12), "tf32": one(2e12), "bf16": one(4e12)}


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """A function: a bench on the CPU, in tiny sizes, that has so many seconds."""
    settings = Settings(1, True, tmp_path, lambda line: None)
    return lambda budget=60.0: Bench(settings, "cpu", budget)


class TestSynthetic:
    def test_every_network_has_its_shapes(self):
        assert list(SYNTHETIC) == list(NETWORKS)

    @pytest.mark.parametrize("name", [name for name in SYNTHETIC if name != "resnet26"])
    def test_the_examples_are_as_the_tasks(self, name: str):
        network, data = SYNTHETIC[name], load_task(SYNTHETIC[name].task).data()
        made = network.setting("cpu", "float32").data
        for part in ("train_inputs", "train_targets", "test_inputs", "test_targets"):
            real, synthetic = getattr(data, part), getattr(made, part)
            assert (real.shape, real.dtype) == (synthetic.shape, synthetic.dtype)
        assert NETWORKS[name].study().task == network.task

    def test_images_of_the_resnet_are_bytes_as_they_are_stored(self):
        data = SYNTHETIC["resnet26"].setting("cpu", "float32", steps=1).data
        assert data.train_inputs.shape == (128, CHANNELS, SIDE, SIDE)
        assert data.train_inputs.dtype == torch.uint8
        assert len(data.test_targets) == 128 // 5  # in proportion

    def test_formats_of_images_are_for_images_only(self):
        assert SYNTHETIC["mnist5k"].arithmetic == list(ARITHMETIC)
        assert SYNTHETIC["mnist1d"].arithmetic == ["float32", "tf32", "bf16"]

    def test_the_operations_of_an_epoch_are_those_of_its_products(self):
        forward = 2 * (64 * 64 + 64 * 64 + 64 * 10)
        training = 3 * forward - 2 * 64 * 64  # nobody needs the gradient of the data
        setting = DIGITS.setting("cpu", "float32")
        assert epoch_flops(setting) == pytest.approx(500 * training + 1297 * forward)


class TestRows:
    @pytest.mark.parametrize("engine", ["captured", "vmap", "referee"])
    def test_a_chunk_is_timed(self, bench, engine: str):
        found = bench().row(DIGITS, engine, "bf16", 2)
        assert found["repeats"] == 1
        steps, epochs = 2, DIGITS.setting("cpu", "bf16").study.panels[0].epochs
        epoch = steps * found["step_us"]["median"] + 8 * found["test_us"]["median"]
        assert found["epoch_s"]["median"] == pytest.approx(1e-6 * epoch)
        assert found["cells_per_s"]["median"] == pytest.approx(1e6 / (epochs * epoch))

    def test_too_little_memory_is_a_row_and_ends_the_ladder(self, bench, monkeypatch):
        def measure(setting: Any, engine: str, cells: int, examples: int) -> Probe:
            if cells > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
            return Probe(engine, cells, examples, Pace(0.001, 0.0001))

        monkeypatch.setattr(gpu_rows, "measure", measure)
        monkeypatch.setattr(gpu_rows, "QUICK_CELLS", (1, 2, 4))
        some = bench()
        some.ladder(DIGITS, "captured")
        assert [r["cells"] for r in some.rows] == [1, 2]
        assert some.rows[1]["failed"] == "OutOfMemoryError: CUDA out of memory."
        assert best_row(some.rows, "digits") == some.rows[0]

    def test_a_chunk_that_would_take_too_long_is_left_out(self, bench, monkeypatch):
        monkeypatch.setattr(gpu_rows, "GROWTH", 1e9)
        some = bench()
        some.ladder(DIGITS, "vmap")
        first, second = some.rows
        assert first["took_s"] > 0
        assert "left out" in second["failed"]
        assert "took_s" not in second

    def test_when_the_time_is_up_nothing_more_is_begun(self, bench, monkeypatch):
        monkeypatch.setattr(gpu_rows, "measure", None)
        assert "left out" in bench(0.0).row(DIGITS, "vmap", "float32", 1)["failed"]

    @pytest.mark.long
    def test_a_small_chunk_is_repeated_and_a_long_one_is_not(self, monkeypatch):
        setting = DIGITS.setting("cpu", "float32", quick=True)
        assert gpu_rows.time_chunk(setting, "vmap", 1, 3)["repeats"] == 3
        monkeypatch.setattr(gpu_rows, "ROW_SECONDS", 0.0)
        assert gpu_rows.time_chunk(setting, "vmap", 1, 3)["repeats"] == 1

    def test_the_best_row_trains_many_and_did_not_fail(self):
        assert best_row(ROWS, "digits", "float32") == ROWS[2]
        assert best_row(ROWS, "digits") == ROWS[4]
        assert best_row(ROWS[:1], "digits") is None
        assert best_row(ROWS, "mlp1d") is None


def test_the_best_is_held_against_one_by_one_and_the_limit_of_its_arithmetic():
    channels_last = [
        row("bf16, channels-last", "referee", 1, 3.0),
        row("bf16, channels-last", "captured", 16, 60.0),
    ]
    found = comparisons("digits", [*ROWS, *channels_last], RATES, {"epoch_flops": 4e9})
    assert list(found) == ["float32", "bf16, channels-last"]  # bf16 was not done one by one
    assert found["float32"]["best"] == ROWS[2]
    assert found["float32"]["ratio"] == 45.0
    assert found["float32"]["share"] == pytest.approx(0.4)  # 4 ms of 10
    assert found["bf16, channels-last"]["share"] == pytest.approx(0.1)


@pytest.mark.long
def test_interrupted_it_keeps_what_was_measured(monkeypatch, tmp_path: Path):
    def interrupted(some: Bench, networks: Sequence[Synthetic]) -> None:
        some.row(networks[0], "vmap", "float32", 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "measure_rows", interrupted)
    lines: list[str] = []
    facts = gpu.measure_card(Settings(1, True, tmp_path, lines.append), "cpu", 60.0, [DIGITS])
    assert [r["engine"] for r in facts["rows"]] == ["vmap"]
    assert facts["networks"]["digits"]["comparisons"] == {}
    assert lines[-1] == "interrupted: what was measured is kept"


@pytest.mark.long
def test_everything_works_with_little_beside_python_and_torch(tmp_path: Path):
    """What make bare packs, and PyTorch with what it requires: nothing else is there."""
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    packed = re.search(r"BARE \?= ((?:.*\\\n)*.*)", makefile)
    assert packed is not None
    there = tmp_path / "there"
    there.mkdir()
    for name in {"torch", *required("torch"), *re.findall(r"[a-z0-9-]+", packed[1])}:
        for top in {Path(str(file)).parts[0] for file in metadata.files(name) or ()}:
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if top != ".." and source.exists() and not (there / top).exists():
                (there / top).symlink_to(source)
    program = (
        "import runpy, sys; sys.path[:0] = sys.argv.pop(1).split(); "
        "runpy.run_module('benchmarks.gpu', run_name='__main__', alter_sys=True)"
    )
    paths = f"{there} {REPOSITORY} {REPOSITORY / 'src'}"
    options = ["--device", "cpu", *QUICK, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, paths, *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    facts = complete_facts(tmp_path / "out")
    assert facts["machine"]["versions"].keys() == {"torch", "numpy", "joblib", "psutil"}


def required(name: str) -> set[str]:
    """The distributions that one requires here, and those that these require."""
    found: set[str] = set()
    for line in metadata.requires(name) or ():
        (other,) = re.findall(r"^[A-Za-z0-9._-]+", line)
        if "extra ==" not in line and other not in found:
            with suppress(metadata.PackageNotFoundError):  # of another system
                found |= {other, *required(other)}
    return found


class TestSlots:
    @pytest.fixture
    def job(self, tmp_path: Path) -> slots.Job:
        chunk = ("digits", "vmap", "float32", 2, 1)
        return slots.Job(*chunk, "cpu", 2, 0.02, quick=True, meeting=str(tmp_path))

    @pytest.mark.long
    def test_a_worker_gives_its_cells_a_second_in_every_lap(self, job):
        laps = slots.work(job)
        assert len(laps) == 2
        # As the probe has it: epochs of the same data, so many to a cell.
        probed = gpu_rows.time_chunk(
            DIGITS.setting("cpu", "float32", quick=True), job.engine, job.cells, 1
        )
        assert 0.1 < max(laps) / probed["cells_per_s"]["median"] < 10

    @pytest.mark.long
    def test_workers_wait_for_each_other(self, job, monkeypatch):
        monkeypatch.setattr(slots, "PATIENCE", 0.05)
        with pytest.raises(BenchmarkError, match="2 workers were not ready together"):
            slots.work(replace(job, slots=2))
        assert slots.work(replace(job, slots=1))

    def test_nobody_waits_for_one_that_failed(self, job, monkeypatch, tmp_path):
        def fail(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("too little")

        monkeypatch.setattr(slots, "train_chunk", fail)
        with pytest.raises(torch.OutOfMemoryError):
            slots.work(job)
        assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.long
def test_the_cpu_stands_in_for_a_card():
    rates = card.product_rates("cpu", quick=True)
    assert list(rates) == ["float32", "tf32", "bf16"]
    assert all(1e6 < rate["median"] < 1e14 for rate in rates.values())
    assert card.facts("cpu")["name"]
    assert card.forget("cpu") == card.peak_bytes("cpu") == 0


def test_products_that_would_take_too_long_are_left_out(monkeypatch):
    sizes: list[int] = []

    def rate(device: str, dtype: torch.dtype, size: int) -> dict[str, float]:
        sizes.append(size)
        return one(1e11 if dtype == torch.float32 else 1e15)

    monkeypatch.setattr(card, "_rate", rate)
    card.product_rates("cpu", quick=False)
    assert sizes == [1024, 1024, *card.SIZES]  # 2048 would take 0.17 s in float32


def test_the_page_shows_ratios_shares_workers_and_what_is_missing():
    facts = {
        **{"measured": "2026-11-22T13:34:07+00:00", "machine": MACHINE, "rates": RATES},
        "settings": {"slots": 2},
        "card": {"name": "A Card", "total_bytes": 80e9, "driver": "5", "cuda": None},
        "networks": {"digits": network_facts(DIGITS, DIGITS.setting("cpu", "float32"))},
        "rows": ROWS,
        "slots": [ROWS[2] | {"slots": 1}, ROWS[2] | {"slots": 2, "cells_per_s": one(120.0)}],
    }
    digits = facts["networks"]["digits"]
    digits["comparisons"] = comparisons("digits", ROWS, RATES, digits | {"epoch_flops": 1e8})
    text = gpu_section(facts)
    assert "A Card, 80 GB, driver 5. It multiplies matrices at float32 1, tf32 2, bf16 4 T" in text
    assert (
        "`digits`, float32 | vmap, 64 | 90 | 2 | 30 × | 45 × | 1 % | 2 | 1: 90, 2: 120 |" in text
    )
    assert text.endswith(
        "Not measured:\n\n- `digits`, captured, float32, chunk of 64: OutOfMemoryError: too little"
    )


def test_without_a_gpu_it_says_so_and_writes_nothing(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = CliRunner().invoke(main, ["--output", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    assert "PyTorch sees no GPU here" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.long
def test_everything_works_on_a_card(tmp_path: Path):
    options = ["--device", "cuda:0", *QUICK, "--output", str(tmp_path)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    complete_facts(tmp_path)


NAMES = ("digits", "mnist5k")
QUICK = ["--quick", *(option for name in NAMES for option in ("--only", name))]


def complete_facts(folder: Path) -> dict[str, Any]:
    """What was measured there: every row, each of its words explained, and its page."""
    assert (folder / "speed.md").read_text("utf-8").count("## On a GPU") == 1
    facts = read(folder, "gpu")
    assert facts is not None
    assert not [r for r in (*facts["rows"], *facts["slots"]) if "failed" in r]
    assert {r["engine"] for r in facts["rows"]} == {*ENGINES} - {"compiled"}
    for name in NAMES:
        assert list(facts["networks"][name]["comparisons"]) == SYNTHETIC[name].arithmetic
        assert [r["slots"] for r in facts["slots"] if r["network"] == name] == [1, 2]
    explained = set(README.split("`")[1::2])
    assert not set(keys(facts)) - explained - {"median", "min", "max"}
    return facts
