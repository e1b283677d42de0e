"""Functions of one cell's tensors, compiled once and called for all cells of a chunk."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape_study.study.errors import first_line
from landscape_study.study.pairs.optimizer import TensorFunction
from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.values import NotCompilableError
from landscape_study.study.training.engines.base import Key, Programs
from landscape_study.study.training.engines.formulas import OwnFormulas

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
            name = programs.libraries.get(key)
            if name is None or not library.is_compiled(name):
                programs.compiled[key] = self._made(key, tensors, own)
            else:
                programs.compiled[key] = library.load(name)
        return programs.compiled[key]

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
