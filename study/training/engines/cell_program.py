"""Functions of one cell's tensors, compiled once and called for all cells of a chunk.

Letters: K cells of the chunk.
"""

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
    """Does for each cell what `function` did when it was first called on tensors of such shapes.

    Args:
        function: of the tensors of one cell, to a tuple of tensors; it may work in place. All that
            changes from call to call must be among them: everything else is frozen.
        name: what it is called.
        otherwise: does the same for all cells, where nothing can be compiled.
        programs: where those of earlier chunks are.
        shared: which arguments all cells have in common; None for those that are single numbers.
    """

    def __init__(
        self,
        function: TensorFunction,
        name: str,
        otherwise: TensorFunction,
        programs: Programs,
        shared: frozenset[int] | None = None,
    ) -> None:
        self.function, self.name, self.otherwise = function, name, otherwise
        self.programs, self.shared = programs, shared
        self.found: dict[Key, library.Compiled | None] = {}

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        """What the function gives for each cell, each [K, …]."""
        each = [self._is_each(i, tensor) for i, tensor in enumerate(tensors)]
        some = [tensor[0] if own else tensor for tensor, own in zip(tensors, each, strict=True)]
        key = (self.name, tuple(tensor.shape for tensor in some))
        if key not in self.found:
            self.found[key] = self._prepared(key, some)
        run = self.found[key]
        if run is None or not all(tensor.is_contiguous() for tensor in some):
            found: Sequence[Tensor] = self.otherwise(*tensors)
            return found
        (cells,) = {len(t) for t, own in zip(tensors, each, strict=True) if own}
        return run(cells, tensors, each)

    def _is_each(self, position: int, tensor: Tensor) -> bool:
        return tensor.ndim > 0 if self.shared is None else position not in self.shared

    def _prepared(self, key: Key, tensors: Sequence[Tensor]) -> library.Compiled | None:
        """What is called from now on for tensors of these shapes."""
        programs = self.programs
        if key not in programs.compiled:
            if len(self.found) >= FORMS:
                return None
            programs.compiled[key] = self._loaded(key, tensors)
        return programs.compiled[key]

    def _loaded(self, key: Key, tensors: Sequence[Tensor]) -> library.Compiled | None:
        programs = self.programs
        name = programs.libraries.get(key)
        if name is None or not library.is_compiled(name):
            try:
                name = self._compiled(tensors)
            except NotCompilableError as e:
                if programs.do_without is None:
                    raise
                programs.do_without(f"{self.name} is not compiled: {first_line(e)}")
                name = None
        if name is None:
            return None
        programs.libraries[key] = name
        return library.load(name)

    def _compiled(self, tensors: Sequence[Tensor]) -> str | None:
        """The name of the library; None where it is not compiled yet, and shall not be now."""
        # What traces takes seconds to import, and is not needed where all is known.
        from landscape_study.study.training.compiling.cell_graph import cell_graph
        from landscape_study.study.training.compiling.program_source import source_of

        with OwnFormulas(), sdpa_kernel(SDPBackend.MATH):  # seen by the tracing only
            common = [i for i, tensor in enumerate(tensors) if not self._is_each(i, tensor)]
            source = source_of(cell_graph(self.function, tensors, common))
        if not self.programs.known_only:
            return library.compiled(source)
        name = library.library_name(source)
        return name if library.is_compiled(name) else None
