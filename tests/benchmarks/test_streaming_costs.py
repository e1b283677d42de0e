"""What it costs to read data while they are trained on."""

from __future__ import annotations

import pytest
from benchmarks.streaming import main
from click.testing import CliRunner


@pytest.mark.slow
def test_it_measures_each_way_to_have_the_same_examples():
    done = CliRunner().invoke(main, ["--quick", "--engine", "vmap"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("mnist5k, 2 cells, engine vmap: ")
    assert [line.partition(":")[0] for line in lines[1:]] == ["data sets", "DataLoaders"]
