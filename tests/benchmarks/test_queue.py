"""The queue is emptied, each chunk once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from benchmarks.queue import drain

from landscape_study.study.store import Store


@pytest.mark.long
def test_the_queue_is_emptied_and_every_wait_noted(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/queue.db"
    seconds, waits = drain(url, workers=2, size=4, count=6)
    assert len(waits) == 6
    assert 0 < max(waits) <= seconds
    with closing(Store(url)) as store:
        cells = store.cells("queue")
    assert {(row["state"], row["attempts"]) for row in cells} == {("finished", 1)}
    assert len(cells) == 24
