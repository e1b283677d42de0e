"""One worker: what it trains, gives back and keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from study import worker
from study.provenance import provenance
from study.spec import Cell
from study.store import Store
from study.worker import Job, _filled_up, work
from tests.conftest import make_study
from tests.study.runs import results


def make_job(engine: str, width: int, store: str = "", run_id: int = 0) -> Job:
    """Work for this process, which goes on though nobody waits for it."""
    study = make_study(pairs=("adamw",), lambdas=(0.0, 0.001, 0.01, 0.1), epochs=2)
    return Job(
        store=store,
        study=study,
        fingerprint="abc",
        run_id=run_id,
        engine=engine,
        libraries={},
        threads=1,
        width=width,
        checkpoints="",
        path=(),
        parent=None,
    )


@pytest.mark.parametrize(
    ("engine", "width", "cells", "filled"),
    [
        ("captured", 8, 6, 8),
        ("compiled", 8, 7, 8),
        ("captured", 8, 8, 8),
        ("captured", 8, 5, 5),  # more than a quarter would be trained in vain
        ("captured", 3, 2, 2),
        ("captured", 4, 9, 9),  # as a store may hold that was made with another --chunk
        ("vmap", 8, 6, 6),  # nothing is traced
        ("one-by-one", 8, 7, 7),
    ],
)
def test_a_chunk_that_lacks_few_cells_is_filled_up_where_another_size_would_be_traced_anew(
    engine: str, width: int, cells: int, filled: int
):
    claimed = [Cell(k + 1.0, 0.0) for k in range(cells)]
    trained = _filled_up(claimed, make_job(engine, width))
    assert list(trained) == claimed + [claimed[-1]] * (filled - cells)


def test_of_a_chunk_that_was_filled_up_only_its_own_cells_are_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """Eight cells in chunks of five and three: the second is trained as four."""
    sizes, train_chunk = [], worker.train_chunk

    def train(task, data, panel, cells, **more):
        sizes.append((len(cells), more["engine"]))
        return train_chunk(task, data, panel, cells, **more)

    monkeypatch.setattr(worker, "train_chunk", train)
    job = make_job("captured", 4)
    store.create(job.study, "abc", lambda cells: [cells[:5], cells[5:]])
    run_id = store.start_run("small", provenance(["cpu"], "captured"))
    work(make_job("captured", 4, store.url, run_id), "cpu")
    assert sizes == [(5, "captured"), (4, "captured")]
    found = results(store)
    assert len(found) == 8
    assert {row["state"] for row in store.cells("small")} == {"finished"}
    monkeypatch.setattr(worker, "FILL_UP", 100)
    other = store.study("small").change(name="other")
    store.create(other, "abc", lambda cells: [cells[:5], cells[5:]])
    work(replace(make_job("captured", 4, store.url, run_id), study=other), "cpu")
    assert sizes[2:] == [(5, "captured"), (3, "captured")]
    assert results(store, "other") == found
