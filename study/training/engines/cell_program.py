"""Functions of one cell's tensors, compiled once and called for all cells of a chunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape_study.study.errors import first_line
from landscape_study.study.pairs.optimizer import TensorFunction
from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.calls import Argument, Call, run_all
from landscape_study.study.training.compiling.values import NotCompilableError
from landscape_study.study.training.engines.base import Key, Programs
from landscape_study.study.training.engines.formulas import OwnFormulas

ROUNDING = 100  # units in the last place of the largest number, by which two ways may differ
FORMS = 4  # of arguments' shapes that are compiled: the last batch may be smaller, few others are


class CellProgram:
    """Does for each cell what `function` did when it was first looked at, on tensors of a shape.

    Args:
        function: of the tensors of one cell, to a tuple of tensors; it may work in place. All that
            changes from call to call must be among them: everything else is frozen.
        name: what it is called.
        programs: where those of earlier chunks are.
    """

    def __init__(self, function: TensorFunction, name: str, programs: Programs) -> None:
        self.function, self.name, self.programs = function, name, programs
        self.found: dict[Key, library.Compiled | None] = {}

    def on(self, own: Sequence[Tensor], common: Sequence[Tensor]) -> library.Compiled | None:
        """What is called for tensors of such shapes; None where there is nothing.

        Args:
            own: the first arguments of the function, which every cell has its own of.
            common: the others: what it changes of them, nobody sees.
        """
        tensors = (*own, *common)
        if not all(tensor.is_contiguous() for tensor in tensors):
            return None
        key = (self.name, tuple(tensor.shape for tensor in tensors))
        if key not in self.found:
            self.found[key] = self._prepared(key, tensors, len(own))
        return self.found[key]

    def _prepared(self, key: Key, tensors: Sequence[Tensor], own: int) -> library.Compiled | None:
        programs = self.programs
        if key not in programs.compiled:
            if len(self.found) >= FORMS:
                return None
            known = self._recalled(key, tensors, own)
            programs.compiled[key] = known or self._made(key, tensors, own)
        return programs.compiled[key]

    def _recalled(self, key: Key, tensors: Sequence[Tensor], own: int) -> library.Compiled | None:
        """What was compiled before, if it still does what the function does."""
        name = self.programs.libraries.get(key)
        if name is None or not library.is_compiled(name):
            return None
        program = library.load(name)
        is_right = not self.programs.doubted or _does(program, self.function, tensors, own)
        return program if is_right else None

    def _made(self, key: Key, tensors: Sequence[Tensor], own: int) -> library.Compiled | None:
        programs = self.programs
        try:
            name = self._compiled(tensors, own)
        except NotCompilableError as e:
            if programs.do_without is None:
                raise
            programs.do_without(f"{self.name} is not compiled: {first_line(e)}")
            return None
        if name is None:
            return None
        programs.libraries[key] = name
        return library.load(name)

    def _compiled(self, tensors: Sequence[Tensor], own: int) -> str | None:
        """The name of the library; None where it is not compiled yet, and shall not be now."""
        # What traces takes seconds to import, and is not needed where all is known.
        from landscape_study.study.training.compiling.cell_graph import cell_graph
        from landscape_study.study.training.compiling.program_source import source_of

        with OwnFormulas(), sdpa_kernel(SDPBackend.MATH):  # seen by the tracing only
            source = source_of(cell_graph(self.function, tensors, range(own, len(tensors))))
        if not self.programs.known_only:
            return library.compiled(source)
        name = library.library_name(source)
        return name if library.is_compiled(name) else None


@torch.no_grad()
def _does(
    program: library.Compiled, function: TensorFunction, tensors: Sequence[Tensor], own: int
) -> bool:
    """Whether the program gives what the function gives for these tensors, but for rounding.

    Args:
        own: how many of the tensors a cell has of its own: what is done to them counts.
    """
    plain, ours = [[tensor.clone() for tensor in tensors] for _ in range(2)]
    with torch.random.fork_rng([]):
        results = function(*plain)
    found = [torch.empty(shape, dtype=dtype) for shape, dtype in program.source.results]
    with torch.random.fork_rng([]):
        run_all(1, 1, [Call(program, [*map(Argument, ours)], [*map(Argument, found)])])
    pairs = zip([*plain[:own], *results], [*ours[:own], *found], strict=True)
    return all(_near(one, other) for one, other in pairs)


def _near(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    largest = one[one.isfinite()].abs().max() if one.isfinite().any() else one.new_tensor(1.0)
    away = ROUNDING * torch.finfo(one.dtype).eps * float(largest)
    return torch.allclose(one, other, rtol=0, atol=away, equal_nan=True)
