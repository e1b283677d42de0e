"""Workers of several places share one PostgreSQL server over the network, and come and go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from landscape_study.study.records.provenance import Worker, provenance
from landscape_study.study.store import Store
from tests.postgres import binaries, fresh_database, running_server
from tests.study.runs import TASKS, finish, results, start_command, wait_for

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.long,
    pytest.mark.postgres,
    pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed"),
]


@pytest.fixture
def server_url() -> Iterator[str]:
    """Of an empty database that is reached over TCP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with running_server(port=port) as server, fresh_database(server.url) as url:
        yield url


def start_worker(url: str, place: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `landscape worker` in a folder of its own, with a cache of its own."""
    place.mkdir()
    command = [
        sys.executable,
        "-m",
        "landscape_study",
        "worker",
        "slow",
        "--store",
        url,
        "--workers",
        "1",
    ]
    return subprocess.Popen(
        [*command, "--task", f"{TASKS}:slow", *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_three_workers_share_a_server_though_they_are_killed_leave_and_join(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chunks = ("--chunk", "2", "--epochs", "2", "--engine", "vmap")
    alone = tmp_path / "alone.db"
    assert finish(start_command(alone, "--workers", "1", *chunks)) == 0
    assert finish(start_command(server_url, *chunks, "--queue")) == 0
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("LANDSCAPE_TEST_HELD", str(held))  # none finishes before all have come
    with closing(Store(server_url)) as store:
        first = [start_worker(server_url, tmp_path / name, "--engine", "vmap") for name in "abc"]
        wait_for(lambda: len(store.workers("slow")) == 3, 110)
        os.killpg(first[0].pid, signal.SIGKILL)
        finish(first[0])
        joined = start_worker(server_url, tmp_path / "d", "--engine", "vmap")
        wait_for(lambda: len(store.runs("slow")) == 4, 110)
        first[1].terminate()
        assert finish(first[1]) == 143
        held.unlink()
        assert [finish(process) for process in (first[2], joined)] == [0, 0]
        assert {row["state"] for row in store.cells("slow")} == {"finished"}
        with closing(Store(str(alone))) as reference:
            assert results(store, "slow") == results(reference, "slow")


def test_who_shall_not_wait_leaves_when_others_hold_all_that_is_open(
    server_url: str, tmp_path: Path
):
    assert finish(start_command(server_url, "--chunk", "8", "--queue")) == 0
    with closing(Store(server_url)) as store:
        run_id = store.start_run("slow", provenance(["cpu"], "vmap"))
        held = store.claim("slow", Worker(), run_id)
        assert held is not None
        assert finish(start_worker(server_url, tmp_path / "other", "--no-wait")) == 0
        states = [row["state"] for row in store.cells("slow")]
        assert (states.count("finished"), states.count("running")) == (8, 8)
