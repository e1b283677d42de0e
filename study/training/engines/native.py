"""Graphs compiled for this machine, once, and kept on disk for the next worker and run.

All that is not PyTorch's public interface stands here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any
from zipfile import ZipFile

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.fx import GraphModule
from tqdm import tqdm

from landscape_study.study.environment.cache import cache_folder, is_proven, prove, write_safely

# How inductor is to compile, as far as this version of PyTorch has the options.
OPTIONS = {
    "fallback_random": True,  # random numbers as the uncompiled network draws them
    "compile_threads": 1,
    # The code that calls the kernels: optimized, it would take most of the time and gain nothing.
    "aot_inductor.compile_wrapper_opt_level": "O0",
    # Else 290 MB of headers are compiled first, for longer than seven of our libraries gain by
    # them, into a folder of /tmp whose name others can take (torch 2.13).
    "aot_inductor.precompile_headers": False,
}


def compiled(graph: GraphModule, tensors: Sequence[Tensor]) -> str:
    """The name of the library of a traced graph, compiled now if it was not before.

    Args:
        graph: as `program.trace` made it.
        tensors: arguments of the kinds that it was traced for.
    """
    name = library_name(graph)
    path = _path(name)
    with FileLock(path.with_suffix(".lock")):
        if not is_proven(path):
            _compile(graph, tensors, path)
            prove(path)
    return name


def is_compiled(name: str) -> bool:
    """Whether the library is there, whole."""
    return is_proven(_path(name))


def load(name: str) -> Callable[..., Sequence[Tensor]]:
    """The machine code of that name, to be called with tensors of the kinds it was traced for."""
    # PyTorch's public loader imports its compiler, 2.2 s in every worker, and unpacks into a
    # temporary folder that a killed worker leaves behind; this takes 4 ms (torch 2.13).
    make = _runner()
    assert make is not None, "see why_not"
    runner = make(str(_path(name)), 1)

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = runner.run(list(tensors))
        return found

    return run


def _runner() -> Callable[..., Any] | None:
    """What loads a library; None where this version of PyTorch has none by this name."""
    found: Callable[..., Any] | None = getattr(
        getattr(torch._C, "_aoti", None), "AOTIModelContainerRunnerCpu", None
    )
    return found


def why_not() -> str | None:
    """Why nothing can be compiled here; None if it can."""
    compiler = os.environ.get("CXX", "clang++" if platform.system() == "Darwin" else "g++")
    if platform.system() == "Windows":
        return "not tried on Windows"
    if _runner() is None:
        return f"PyTorch {torch.__version__} loads no compiled graphs as 2.6 to 2.13 do"
    if shutil.which(compiler) is None:
        return f"no C++ compiler here ({compiler})"
    return None if _works(compiler) else f"the C++ compiler here does not work ({compiler})"


@cache
def _works(compiler: str) -> bool:
    """Whether the compiler takes a program, with the headers that PyTorch's has."""
    flags = () if platform.system() == "Darwin" else ("-fopenmp",)
    command = [compiler, *flags, "-fsyntax-only", "-x", "c++", "-"]
    program = f"{'#include <omp.h>' if flags else ''}\n#include <vector>\n"
    try:
        done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _path(name: str) -> Path:
    return cache_folder() / f"{name}.so"


def _compile(graph: GraphModule, tensors: Sequence[Tensor], path: Path) -> None:
    class Wrapped(nn.Module):
        """The graph, as torch.export wants it."""

        def forward(self, *tensors: Tensor) -> Any:
            return graph(*tensors)

    # PyTorch shows bars while it compiles; their lock is for threads here, since one for processes
    # outlives a worker that is killed.
    tqdm.set_lock(RLock())
    with (
        TemporaryDirectory(dir=path.parent) as folder,
        warnings.catch_warnings(),
        _own_folder_of_inductor(folder),
    ):
        warnings.simplefilter("ignore")  # about PyTorch's own parts, to its own developers
        package = Path(folder, "graph.pt2")
        known = torch._inductor.list_options()
        options = {name: value for name, value in OPTIONS.items() if name in known}
        exported = torch.export.export(Wrapped(), tuple(tensors))
        torch._inductor.aoti_compile_and_package(
            exported, package_path=str(package), inductor_configs=options
        )
        with ZipFile(package) as files:
            (library,) = (name for name in files.namelist() if name.endswith(".so"))
            unfinished = Path(folder, "library.so")
            write_safely(unfinished, files.read(library))
            unfinished.replace(path)


@contextmanager
def _own_folder_of_inductor(folder: str) -> Iterator[None]:
    """Let the compiler work in `folder`: its own one has a name in /tmp that others can take.

    PyTorch writes that into the environment on many occasions, as if the user had asked for it.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    os.environ[name] = folder
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def kinds(tensors: Sequence[Tensor]) -> str:
    """What a library expects of its arguments."""
    return "".join(f"{tensor.shape}{tensor.stride()}{tensor.dtype}" for tensor in tensors)


def library_name(graph: GraphModule) -> str:
    """A name for the graph, its constants, its arguments, and all that its code depends on."""
    digest = hashlib.sha256(graph.code.encode())
    for name, constant in sorted([*graph.named_buffers(), *graph.named_parameters()]):
        digest.update(f"{name}{constant.shape}{constant.dtype}".encode())
        values = constant.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    digest.update(graph.meta["kinds"].encode())
    facts = (torch.__version__, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    digest.update(f"{facts}{platform.platform()}{OPTIONS}".encode())
    return digest.hexdigest()[:24]
