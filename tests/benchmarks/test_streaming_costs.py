"""What it costs to read data while they are trained on."""

from __future__ import annotations

import re

import pytest
from benchmarks.streaming import main
from click.testing import CliRunner


@pytest.mark.long
@pytest.mark.slow
def test_it_measures_each_way_to_have_the_same_examples():
    done = CliRunner().invoke(main, ["--quick", "--engine", "vmap"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("mnist5k, 2 cells, engine vmap: ")
    for line, name in zip(lines[1:], ("data sets", "DataLoaders"), strict=True):
        found = re.match(rf"{name}: reading takes (\S+) s longer, \S+% of an epoch ", line)
        assert found is not None, line
        assert 0 < float(found[1]) < 10
