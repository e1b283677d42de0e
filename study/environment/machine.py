"""What this process may use of its machine, or of the container or job that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

# Of a control group, by version: its limit, what it uses, and what of that is cache, which yields.
FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def free_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that may still be taken.

    That is the least of what is free on the machine and in the control groups of this process,
    which containers and Slurm limit (cgroup v1 and v2).
    """
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    for folder, version in _groups(root):
        limit, used, cached = FILES[version]
        try:
            most = (folder / limit).read_text().strip()
            if most == "max":
                continue
            taken = int((folder / used).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
            facts = dict(line.split() for line in lines)
            yield int(most) - taken + int(facts.get(cached, 0))
        except (OSError, ValueError):  # no limit there, or none that this process may see
            continue


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """The groups of this process and those around them: their folder, and version.

    In a container the path may be that of the machine outside; then the mount itself is the group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        number, kinds, path = line.split(":", 2)
        mounts = root / "sys/fs/cgroup"
        if number == "0" and not kinds:
            base, version = mounts, 2
        elif "memory" in kinds.split(","):
            base, version = mounts / "memory", 1
        else:
            continue
        own = base / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(base):
                yield folder, version
