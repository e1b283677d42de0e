"""What a user's own script pays for being a study."""

from __future__ import annotations

import pytest
from benchmarks.scripts import main
from click.testing import CliRunner


@pytest.mark.long
def test_it_measures():
    done = CliRunner().invoke(main, ["--quick"])
    assert done.exit_code == 0, done.output
    assert "a cell that ends at once: " in done.output
    assert "2 slots with cells of 0.2 s: " in done.output
