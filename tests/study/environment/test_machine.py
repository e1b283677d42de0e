"""Free memory: that of the machine, or what its containers and jobs leave."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from landscape_study.study.environment.machine import free_memory

MB = 1_000_000


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine with 1,000 MB."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


class Memory:
    available = 1000 * MB


def cgroup(root: Path, *lines: str) -> None:
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def v2(root: Path, path: str, most: object, used: int, cached: int = 0) -> None:
    stat = f"anon {used}\ninactive_file {cached}"
    write(root / "sys/fs/cgroup" / path, memory__max=most, memory__current=used, memory__stat=stat)


def v1(root: Path, path: str, most: object, used: int, cached: int = 0) -> None:
    write(
        root / "sys/fs/cgroup/memory" / path,
        memory__limit_in_bytes=most,
        memory__usage_in_bytes=used,
        memory__stat=f"total_inactive_file {cached}",
    )


def test_of_the_machine_where_nothing_limits(root: Path):
    assert free_memory(root) == 1000 * MB  # not Linux
    cgroup(root, "0::/")
    assert free_memory(root) == 1000 * MB


def test_of_a_container(root: Path):
    """Which sees its own group as the root, and caches that give way as used."""
    cgroup(root, "0::/")
    v2(root, "", 300 * MB, 120 * MB, cached=20 * MB)
    assert free_memory(root) == 200 * MB


def test_of_a_job_whose_limit_stands_further_up(root: Path):
    cgroup(root, "0::/slurm/job_7/step_0/task_0")
    v2(root, "slurm/job_7/step_0/task_0", "max", 10 * MB)
    v2(root, "slurm/job_7", 400 * MB, 100 * MB)
    v2(root, "slurm", 2000 * MB, 1900 * MB)
    assert free_memory(root) == 100 * MB  # others have the rest of the node


def test_of_a_job_by_version_1(root: Path):
    cgroup(root, "7:cpu,cpuacct:/slurm", "4:memory:/slurm/uid_1/job_7", "0::/")
    v1(root, "slurm/uid_1/job_7", 500 * MB, 200 * MB, cached=50 * MB)
    v1(root, "", 9223372036854771712, 10**9)
    assert free_memory(root) == 350 * MB


def test_of_a_container_by_version_1_that_sees_the_path_outside(root: Path):
    cgroup(root, "4:memory:/docker/0123")
    v1(root, "", 250 * MB, 100 * MB)
    assert free_memory(root) == 150 * MB


def test_what_is_full_or_odd_is_no_error(root: Path):
    cgroup(root, "0::/a")
    v2(root, "a", 100 * MB, 120 * MB)
    assert free_memory(root) == 0
    v2(root, "a", "odd", 120 * MB)
    assert free_memory(root) == 1000 * MB


def test_of_this_machine():
    assert 0 < free_memory() <= psutil.virtual_memory().total
