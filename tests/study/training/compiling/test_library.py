"""Compiled programs on disk: found again by what they are, whole or not at all."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.cell_graph import cell_graph
from landscape_study.study.training.compiling.program_source import source_of
from landscape_study.study.training.compiling.values import NotCompilableError
from tests.study.training.compiling.calling import called

X = torch.arange(4.0)

needs_compiler = pytest.mark.skipif(library.why_not() is not None, reason=str(library.why_not()))


def source(function: Callable[..., Any], *tensors: Tensor) -> library.Source:
    return source_of(cell_graph(function, tensors or (X,)))


def increment(x: Tensor) -> tuple[Tensor]:
    return (x + 1,)


def _add(x: Tensor, constant: Tensor) -> tuple[Tensor]:
    return (x + constant,)


def name_of(function: Callable[..., Any] = increment, *tensors: Tensor) -> str:
    return library.library_name(source(function, *tensors))


class TestName:
    def test_it_is_that_of_the_operations(self):
        def by_two_lines(x: Tensor) -> tuple[Tensor]:
            z = x + 1
            return (z,)

        assert name_of(by_two_lines) == name_of()
        assert len(name_of()) == 24

    @pytest.mark.parametrize("function", [lambda x: (x + 2,), lambda x: (x - 1,), lambda x: (x,)])
    def test_other_operations(self, function: Callable[..., Any]):
        assert name_of(function) != name_of()

    def test_other_arguments(self):
        tensors = (torch.zeros(5), torch.zeros(4, 1), X.double(), X.int())
        names = [name_of(increment, one) for one in tensors]
        assert len({name_of(), *names}) == 5

    def test_constants_count_by_their_values_shapes_and_kinds(self):
        constants = [
            *(torch.zeros(1), torch.zeros(4), torch.tensor([1.0, 2, 3, 4])),
            *(torch.tensor([1.0, 2, 3, 5]), torch.zeros(4).int()),
        ]
        names = [name_of(partial(_add, constant=constant)) for constant in constants]
        assert len({*names}) == 5
        assert name_of(partial(_add, constant=constants[3].clone())) == names[3]

    def test_random_numbers_count_by_how_they_are_drawn(self):
        rates = {name_of(lambda x, p=p: (functional.dropout(x, p),)) for p in (0.25, 0.5, 0.75)}
        assert len(rates) == 3

    def test_compilers_and_processors(self, monkeypatch: pytest.MonkeyPatch):
        found = {name_of()}
        for name, value in (("FLAGS", ("-O0",)), ("_processor", lambda: "another")):
            with monkeypatch.context() as patch:
                patch.setattr(library, name, value)
                library.circumstances.cache_clear()
                found.add(name_of())
        library.circumstances.cache_clear()
        assert len(found) == 3


@needs_compiler
class TestCache:
    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Names of what was compiled."""
        found: list[str] = []
        compile_ = library._compile

        def noted(source: library.Source, name: str) -> None:
            found.append(name)
            compile_(source, name)

        monkeypatch.setattr(library, "_compile", noted)
        return found

    def test_what_was_compiled_is_loaded_the_next_time(self, own_programs: Path, made: list[str]):
        for expected in (1, 1):
            run = library.load(library.compiled(source(lambda x: (x * 2, x.sum()))))
            assert len(made) == expected
            doubled, total = called(run, [X[None]])
            assert torch.equal(doubled, 2 * X[None])
            assert total.tolist() == [6.0]
        library.compiled(source(lambda x: (x * 3,)))
        assert len(set(made)) == 2
        kept = {path.suffix for path in own_programs.iterdir()}
        assert kept == {".so", ".facts", ".o", ".lock", ".sha256"}

    @pytest.mark.some(4)
    @pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "other", "none"])
    @pytest.mark.parametrize("end", [".so", ".so.sha256", ".facts", ".facts.sha256"])
    def test_what_is_damaged_is_compiled_anew(
        self, own_programs: Path, made: list[str], end: str, damage: bytes | None
    ):
        name = library.compiled(source(lambda x: (x * 2,)))
        assert library.is_compiled(name)
        path = own_programs / f"{name}{end}"
        path.unlink() if damage is None else path.write_bytes(damage)
        assert not library.is_compiled(name)
        run = library.load(library.compiled(source(lambda x: (x * 2,))))
        assert torch.equal(called(run, [X[None]])[0], 2 * X[None])
        assert (len(made), library.is_compiled(name)) == (2, True)

    def test_a_compiler_that_fails_leaves_nothing(
        self, own_programs: Path, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as patch:
            patch.setenv("CXX", "false")
            library.circumstances.cache_clear()
            with pytest.raises(NotCompilableError, match="the C\\+\\+ compiler failed"):
                library.compiled(source(increment))
        library.circumstances.cache_clear()
        assert not [path for path in own_programs.iterdir() if path.suffix in (".so", ".facts")]
        library.compiled(source(increment))

    def test_it_is_told_when_an_index_is_out_of_range(self, own_programs: Path):
        run = library.load(library.compiled(source(lambda x, i: (x[i],), X, torch.tensor([1]))))
        assert called(run, [X[None]], [torch.tensor([3])])[0].tolist() == [[3.0]]
        with pytest.raises(IndexError, match="1 indices are out of range"):
            called(run, [X[None]], [torch.tensor([4])])


class TestCompiler:
    def test_the_one_that_is_named_must_be_there(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CXX", "no-such-compiler")
        assert library.why_not() == "no C++ compiler here (no-such-compiler)"

    def test_and_must_take_programs(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CXX", sys.executable)
        refusal = f"the C++ compiler here does not work ({sys.executable})"
        assert library.why_not() == refusal

    @pytest.mark.parametrize(("system", "name"), [("Linux", "g++"), ("Darwin", "clang++")])
    def test_else_it_is_the_systems(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, name: str
    ):
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert library.why_not() == f"no C++ compiler here ({name})"
        compiler = tmp_path / name
        compiler.write_text("#!/bin/sh\n")
        compiler.chmod(0o755)
        library._works.cache_clear()
        assert library.why_not() is None
        library._works.cache_clear()

    def test_what_works_is_not_tried_again(
        self, own_programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        compiler, calls = tmp_path / "c++", tmp_path / "calls"
        compiler.write_text(f"#!/bin/sh\necho called >> {calls}\n")
        compiler.chmod(0o755)
        monkeypatch.setenv("CXX", str(compiler))
        for changed, count in ((0, 1), (0, 1), (1, 2)):
            os.utime(compiler, (changed, changed))
            library._works.cache_clear()
            assert library.why_not() is None
            assert calls.read_text().count("called") == count
