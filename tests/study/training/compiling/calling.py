"""Compiled programs, called."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape_study.study.training.compiling import library
from landscape_study.study.training.compiling.calls import Argument, Call, of_cells, run_all


def called(
    program: library.Compiled, own: Sequence[Tensor], common: Sequence[Tensor] = ()
) -> list[Tensor]:
    """What it gives for each cell, [K, …]."""
    cells = len(own[0])
    results = [torch.empty((cells, *s), dtype=dtype) for s, dtype in program.source.results]
    arguments = [*map(of_cells, own), *map(Argument, common)]
    run_all(cells, 1, [Call(program, arguments, [*map(of_cells, results)])])
    return results
