"""Programs compiled for this machine, once, and kept on disk for the next worker and run."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from filelock import FileLock
from torch import Tensor

from landscape_study.study.environment.cache import (
    cache_folder,
    is_proven,
    keep,
    keep_whole,
    recall,
)
from landscape_study.study.training.compiling.draws import Draw, from_plain, plain
from landscape_study.study.training.compiling.values import ALIGNMENT, NotCompilableError

HERE = Path(__file__).parent
NUMBERS = HERE / "numbers.h"
COMMON = (HERE / "matrix_products.cpp", HERE / "calls.cpp")  # compiled once for all programs
# Loops use the vectors that this processor has; more effort takes three times as long, and gains
# nothing. What a NaN or an infinity gives stays as it is: cells diverge.
FLAGS = (
    *("-std=c++17", "-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic"),
    *("-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-fPIC", "-w"),
)
SECONDS = 120.0  # that a compiler may take


@dataclass(frozen=True)
class Source:
    """A program, and what it is called with beside a function's own arguments.

    Attributes:
        text: of C, to stand behind `numbers.h`.
        scratch: bytes of memory that it works in.
        kept: bytes of memory for what is the same for all cells of a step.
        constants: tensors that are the same for all cells and steps.
        draws: random numbers of each step, the same for all cells.
        results: shape and dtype of what comes out for one cell.
    """

    text: str
    scratch: int
    kept: int
    constants: Sequence[Tensor]
    draws: Sequence[Draw]
    results: Sequence[tuple[tuple[int, ...], torch.dtype]]

    def facts(self) -> bytes:
        """All but the text, as bytes."""
        kept = {
            "scratch": self.scratch,
            "kept": self.kept,
            "constants": [*self.constants],
            "draws": [plain(draw) for draw in self.draws],
            "results": [*self.results],
        }
        buffer = io.BytesIO()
        torch.save(kept, buffer)
        return buffer.getvalue()


class Compiled:
    """A program in memory; what calls it is in `calls`.

    Args:
        library: where its function is, as `program_source.source_of` says.
        source: without its text.

    Attributes:
        address: of its function.
        run_all: calls such functions, see `calls.cpp`.
        scratch: memory to work in.
        kept: memory for what is the same for all cells of a step.
    """

    def __init__(self, library: ctypes.CDLL, source: Source) -> None:
        self.source = source
        self.address = ctypes.cast(library.run, ctypes.c_void_p).value
        self.run_all = library.run_all
        self.run_all.restype = ctypes.c_int64
        self.scratch, self.kept = Memory(source.scratch), Memory(source.kept)


class Memory:
    """So many bytes, from `start` on."""

    def __init__(self, size: int) -> None:
        self.size, self.whole = size, torch.empty(size + ALIGNMENT, dtype=torch.uint8)
        self.start = self.whole.data_ptr() + -self.whole.data_ptr() % ALIGNMENT


def compiled(source: Source) -> str:
    """The name of the library of a program, compiled now if it was not before.

    Raises:
        NotCompilableError: the compiler fails.
    """
    name = library_name(source)
    with FileLock(_path(name).with_suffix(".lock")):
        if not is_compiled(name):
            _compile(source, name)
    return name


def is_compiled(name: str) -> bool:
    """Whether the library is there, whole."""
    return is_proven(_path(name)) and is_proven(_path(name, ".facts"))


def load(name: str) -> Compiled:
    """The library of that name."""
    facts = torch.load(_path(name, ".facts"), weights_only=True)
    facts["draws"] = [from_plain(draw) for draw in facts["draws"]]
    return Compiled(ctypes.CDLL(str(_path(name))), Source("", **facts))


def library_name(source: Source) -> str:
    """A name for the program, its constants, and all that its code depends on."""
    digest = hashlib.sha256(source.text.encode())
    for constant in source.constants:
        digest.update(f"{constant.shape}{constant.dtype}".encode())
        digest.update(constant.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    shapes = [(tuple(shape), str(dtype)) for shape, dtype in source.results]
    facts = (source.scratch, source.kept, shapes, [plain(draw) for draw in source.draws])
    digest.update(f"{facts}{circumstances()}".encode())
    return digest.hexdigest()[:24]


@cache
def circumstances() -> str:
    """What machine code depends on beside its text: how it is made, and for which processor."""
    common = "".join(file.read_text("utf-8") for file in (NUMBERS, *COMMON))
    return f"{common}{_compiler()} {FLAGS} {_processor()}"


def _processor() -> str:
    """The processor, with all that it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return f"{platform.platform()} {platform.processor()}"
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return f"{platform.machine()} {sorted(set(told))}"


def _path(name: str, end: str = ".so") -> Path:
    return cache_folder() / f"{name}{end}"


def _compile(source: Source, name: str) -> None:
    with TemporaryDirectory(dir=cache_folder()) as folder:
        program = Path(folder, "program.cpp")
        program.write_text(f'#include "{NUMBERS}"\n{source.text}', encoding="utf-8")
        made = Path(folder, "library.so")
        _run_compiler("-shared", program, *map(_common, COMMON), made, *_libraries())
        for content, end in ((made.read_bytes(), ".so"), (source.facts(), ".facts")):
            keep_whole(content, _path(name, end))


def _common(file: Path) -> Path:
    """What one of the files is compiled to."""
    digest = hashlib.sha256(f"{file.name}{circumstances()}".encode()).hexdigest()
    path = cache_folder() / f"{digest[:24]}.o"
    with FileLock(path.with_suffix(".lock")):
        if not is_proven(path):
            with TemporaryDirectory(dir=cache_folder()) as folder:
                made = Path(folder, "common.o")
                _run_compiler("-c", file, made)
                keep_whole(made.read_bytes(), path)
    return path


def _run_compiler(kind: str, *files: Path | str) -> None:
    """Make the last file of the others; libraries follow it.

    Raises:
        NotCompilableError: that fails.
    """
    inputs = [str(file) for file in files if isinstance(file, Path)]
    after = [file for file in files if isinstance(file, str)]
    command = [_compiler(), *FLAGS, kind, *inputs[:-1], "-o", inputs[-1], *after]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as e:
        raise NotCompilableError(f"the C++ compiler failed: {e}") from e
    if done.returncode:
        raise NotCompilableError(f"the C++ compiler failed: {done.stderr.strip()[:500]}")


def _compiler() -> str:
    return os.environ.get("CXX", "clang++" if platform.system() == "Darwin" else "g++")


def _libraries() -> list[str]:
    """Of the functions of many numbers at once, where the C library has them."""
    vectors = platform.system() == "Linux" and platform.machine() == "x86_64"
    return ["-lmvec", "-lm"] if vectors and platform.libc_ver()[0] == "glibc" else ["-lm"]


def why_not() -> str | None:
    """Why nothing can be compiled here; None if it can."""
    compiler = _compiler()
    if shutil.which(compiler) is None:
        return f"no C++ compiler here ({compiler})"
    return None if _works(compiler) else f"the C++ compiler here does not work ({compiler})"


@cache
def _works(compiler: str) -> bool:
    """Whether the compiler takes a program, with our flags and the headers of C++."""
    file = Path(shutil.which(compiler) or compiler).resolve()
    facts = (file, file.stat().st_mtime_ns, FLAGS)
    memory = f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}.compiler.json"
    if recall(memory):
        return True
    works = _takes_a_program(compiler)
    if works:  # what does not may be mended
        keep(memory, {"works": works})
    return works


def _takes_a_program(compiler: str) -> bool:
    command = [compiler, *FLAGS, "-fsyntax-only", "-x", "c++", "-"]
    program = "#include <cmath>\n#include <cstdint>\n"
    try:
        done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
