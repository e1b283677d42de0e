"""Where the memory of a program lies."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from types import SimpleNamespace
from landscape_study.study.training.compiling.memory import laid_out
from landscape_study.study.training.compiling.values import Place

places = {Place(f"b{i}", "float", 16 * i + 1) for i in range(9)}
starts, _ = laid_out([SimpleNamespace(reads=lambda: places, writes=set)])
print(sorted((place.name, start) for place, start in starts.items()))
"""


@pytest.mark.long
def test_it_is_the_same_in_every_process():
    """Or else each would compile its own programs; Python shuffles its sets in each."""
    found = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert len({start for _, start in eval(found[0])}) == 9
