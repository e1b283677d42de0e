"""Graphs compiled for this machine: found again by what they are, equal to what is captured."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from landscape_study.study.pairs.options import Options
from landscape_study.study.planning.plan import make_plan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.study import Cell
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import Programs, native
from landscape_study.study.training.engines.program import trace
from tests.conftest import make_study
from tests.study.chunks import CELLS, assert_equals_plain_loop, assert_same_outcome
from tests.study.conftest import CLASSES

X = torch.arange(4.0)


def graph_of(function: Callable[..., Any], *tensors: Tensor) -> GraphModule:
    return trace(function, tensors or (X,))


def increment(x: Tensor) -> tuple[Tensor]:
    return (x + 1,)


def _add(x: Tensor, constant: Tensor) -> tuple[Tensor]:
    return (x + constant,)


def digest_of(function: Callable[..., Any] = increment) -> str:
    return native.library_name(graph_of(function))


class TestDigest:
    def test_it_is_that_of_the_operations(self):
        def by_two_lines(x: Tensor) -> tuple[Tensor]:
            z = x + 1
            return (z,)

        assert digest_of(by_two_lines) == digest_of()
        assert len(digest_of()) == 24

    @pytest.mark.parametrize("function", [lambda x: (x + 2,), lambda x: (x - 1,), lambda x: (x,)])
    def test_other_operations(self, function: Callable[..., Any]):
        assert digest_of(function) != digest_of()

    @pytest.mark.parametrize(
        "tensor",
        [torch.zeros(5), torch.zeros(4, 1), torch.zeros(8)[::2], X.double(), X.int()],
        ids=["size", "shape", "strides", "dtype", "integers"],
    )
    def test_other_arguments(self, tensor: Tensor):
        add = lambda x, *_: (x + 1,)  # noqa: E731
        found = {
            native.library_name(graph_of(add, *tensors))
            for tensors in ((tensor,), (X, tensor), (X, X))
        }
        assert len({digest_of(), *found}) == 4

    @pytest.mark.parametrize("kind", [Tensor, nn.Parameter, nn.Buffer, Tensor.bfloat16])
    def test_constants_count_by_their_values(self, kind: Callable[[Tensor], Tensor]):
        """Of a loss, say: class weights, a matrix of costs."""

        def digest(*values: float) -> str:
            constant = kind(torch.tensor(values, dtype=torch.float32))
            return digest_of(lambda x: (x + constant.detach(),))

        assert digest(1, 2, 3, 4) == digest(1, 2, 3, 4)
        assert digest(1, 2, 3, 4) != digest(1, 2, 3, 5)

    def test_constants_count_by_their_shapes_and_kinds(self):
        constants = torch.zeros(1), torch.zeros(1, 1), torch.zeros(1).int(), torch.zeros(1, 1, 1)
        digests = {digest_of(partial(_add, constant=constant)) for constant in constants}
        assert len(digests) == 4

    def test_threads_versions_and_machines(self, monkeypatch: pytest.MonkeyPatch):
        found = {digest_of()}
        for module, name in (
            (torch, "get_num_threads"),
            (torch.backends.cpu, "get_cpu_capability"),
            (platform, "platform"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, lambda: "another")
                found.add(digest_of())
        monkeypatch.setattr(torch, "__version__", "99.0")
        found.add(digest_of())
        assert len(found) == 5


class TestCache:
    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """What was compiled, as a file in the cache; what is loaded gives twice its argument."""
        found: list[Path] = []

        def compile_(graph: GraphModule, tensors: Sequence[Tensor], path: Path) -> None:
            assert path.with_suffix(".lock").exists()
            found.append(path)
            path.write_bytes(b"machine code")

        class Runner:
            def __init__(self, path: str, *_: object) -> None:
                assert Path(path).exists()

            def run(self, tensors: list[Tensor]) -> list[Tensor]:
                return [2 * tensors[0]]

        monkeypatch.setattr(native, "_compile", compile_)
        monkeypatch.setattr("torch._C._aoti.AOTIModelContainerRunnerCpu", Runner)
        return found

    def test_what_was_compiled_is_loaded_the_next_time(
        self, own_cache: Path, compiled: list[Path]
    ):
        for expected in (1, 1):
            run = native.load(native.compiled(graph_of(lambda x: (x * 2,)), (X,)))
            assert len(compiled) == expected
            assert torch.equal(run(X)[0], 2 * X)
        native.compiled(graph_of(lambda x: (x * 3,)), (X,))
        assert len(set(compiled)) == 2
        assert {path.parent for path in compiled} == {own_cache}

    def test_what_failed_half_way_is_compiled_anew(
        self, own_cache: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch
    ):
        def fail(graph: GraphModule, tensors: Sequence[Tensor], path: Path) -> None:
            raise RuntimeError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(native, "_compile", fail)
            with pytest.raises(RuntimeError, match="no space left"):
                native.compiled(graph_of(lambda x: (x * 2,)), (X,))
        native.compiled(graph_of(lambda x: (x * 2,)), (X,))
        assert len(compiled) == 1

    @pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "other", "none"])
    @pytest.mark.parametrize("part", ["", ".sha256"])
    def test_what_is_damaged_is_compiled_anew(
        self, own_cache: Path, compiled: list[Path], part: str, damage: bytes | None
    ):
        name = native.compiled(graph_of(lambda x: (x * 2,)), (X,))
        assert native.is_compiled(name)
        path = own_cache / f"{name}.so{part}"
        path.unlink() if damage is None else path.write_bytes(damage)
        assert not native.is_compiled(name)
        native.load(native.compiled(graph_of(lambda x: (x * 2,)), (X,)))
        assert len(compiled) == 2
        assert native.is_compiled(name)


class TestCompiler:
    def test_the_one_that_is_named_must_be_there(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CXX", "no-such-compiler")
        assert native.why_not() == "no C++ compiler here (no-such-compiler)"

    def test_and_must_take_programs(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CXX", sys.executable)
        refusal = f"the C++ compiler here does not work ({sys.executable})"
        assert native.why_not() == refusal

    @pytest.mark.parametrize(("system", "name"), [("Linux", "g++"), ("Darwin", "clang++")])
    def test_else_it_is_the_systems(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, name: str
    ):
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert native.why_not() == f"no C++ compiler here ({name})"
        compiler = tmp_path / name
        compiler.write_text("#!/bin/sh\n")
        compiler.chmod(0o755)
        native._works.cache_clear()
        assert native.why_not() is None
        native._works.cache_clear()

    def test_windows_is_not_tried(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(platform, "system", lambda: "Windows")
        assert native.why_not() == "not tried on Windows"


# ---- really compiled: a quarter of a minute for the first of these tests -----------------------


class Everything(nn.Module):
    """What has own formulas, random numbers, buffers moved in place and buffers assigned anew."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv1d(2, 3, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(3),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(15, CLASSES),
        )
        self.register_buffer("centre", torch.zeros(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        h = self.network(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * h.mean(dim=0).detach()
        return h - self.centre


@pytest.fixture(scope="module")
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What one of these tests compiles, the others find."""
    why = native.why_not()
    if why is not None:
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("native")))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("pytorchs")))
        yield


@pytest.mark.long
@pytest.mark.usefixtures("_one_cache")
class TestCompiled:
    @pytest.mark.arithmetic
    def test_it_gives_what_the_captured_one_gives(self, make_task, make_panel, train):
        """To 1e-12 in float64, with the same dropout masks: and so what plain loops give."""
        task, panel = make_task(Everything, "signal"), make_panel("adamw")
        captured = train(task, panel, engine="captured")
        compiled = train(task, panel, engine="compiled")
        torch.testing.assert_close(compiled.theta, captured.theta, rtol=0, atol=1e-12)
        for name, buffer in captured.buffers.items():
            torch.testing.assert_close(compiled.buffers[name], buffer, rtol=0, atol=1e-12)
        assert_equals_plain_loop(compiled, task, panel)

    def test_nothing_is_written_where_pytorch_would(self, make_task, make_panel, train):
        """Its folder may be one that others have made."""
        folder = os.environ["TORCHINDUCTOR_CACHE_DIR"]
        train(make_task(Everything, "signal"), make_panel("adamw"), engine="compiled")
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == folder
        assert not [path for path in Path(folder).rglob("*") if path.is_file()]

    def test_a_diverged_cell_changes_no_bit_of_the_others(self, make_task, make_panel, train):
        task, panel = make_task(Everything, "signal"), make_panel("adamw")
        calm = train(task, panel, engine="compiled")
        again = train(task, panel, engine="compiled")
        assert_same_outcome(again.outcome, calm.outcome)
        wild = [CELLS[0], Cell(1e200, 0.1), *CELLS[2:]]
        beside = train(task, panel, wild, engine="compiled")
        assert beside.outcome.diverged_epoch.tolist() == [0, 1, 0, 0]
        others = [0, 2, 3]
        assert torch.equal(calm.theta[others], beside.theta[others])
        assert not beside.theta[1].isfinite().all()

    def test_what_is_loaded_needs_no_compiler(
        self, make_task, make_panel, train, monkeypatch: pytest.MonkeyPatch
    ):
        task, panel = make_task(Everything, "signal"), make_panel("adamw", epochs=1)
        first = train(task, panel, engine="compiled")
        monkeypatch.setattr(native, "_compile", None)
        again = train(task, panel, engine="compiled")
        assert torch.equal(first.theta, again.theta)
        with pytest.raises(TypeError):  # in another precision it is another program
            train(task, panel, engine="compiled", options=Options())

    def test_a_plan_finds_what_its_workers_will_need(self, monkeypatch: pytest.MonkeyPatch):
        """Under the names that workers find it by, whatever threads the caller has."""
        study = make_study(epochs=2)
        plan = make_plan(study, RunSettings(device="cpu", workers=1, engine="compiled"))
        assert plan.libraries() == {}
        programs = Programs()
        with worker_arithmetic("cpu", plan.layout.threads):
            for panel in study.panels:
                train_chunk(
                    plan.task,
                    plan.data.to("cpu", torch.float32),
                    panel,
                    panel.cells(),
                    seed=0,
                    batch_size=20,
                    options=study.options,
                    engine="compiled",
                    programs=programs,
                )
        found = plan.libraries()
        assert found.keys() == programs.graphs.keys()
        # The names of updates say with which options.
        assert sorted(key[0].partition(" momentum=")[0] for key in found) == [
            "gradient",
            "scores",
            "update of adamw",
            "update of sgd",
        ]
        assert all(native.is_compiled(name) for name in found.values())
