"""The folders of runs: each its own, kept after a crash, and bounded altogether.

A folder that no run works in any more bears a note of its size. What is kept of such folders is
bounded: the oldest are removed first.
"""

from __future__ import annotations

import functools
import os
import shutil
from contextlib import suppress
from pathlib import Path

ROOM = 1024**3  # bytes that the folders of failed runs may have, where nobody says how many
MOST = 1000  # folders that are kept, whatever their size
NOTE = ".ended"  # in the folder of a run that has ended: how many bytes it has
LOG = "log.txt"


def begin(folder: Path) -> None:
    """Let a run work in its folder, where a former try of it may have left something."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).unlink(missing_ok=True)


def settle(folder: Path, *, keep: bool, room: int) -> None:
    """Remove the folder of a run that has ended; or keep it, as far as there is room.

    Args:
        folder: beside those of the study's other runs.
        keep: whether to keep it.
        room: bytes that all kept folders of the study may have.
    """
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):  # a full disk, say: then it is not kept for long
            size = _size(folder)
            if size > room:
                _empty(folder)
                size = _size(folder)
            (folder / NOTE).write_text(str(size))
        _make_room(folder.parent, room)
    for empty in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            empty.rmdir()  # if it was the last


def _make_room(parent: Path, room: int) -> None:
    """Remove the oldest of the folders that are kept until the rest is within bounds."""
    with suppress(OSError), os.scandir(parent) as entries:
        notes = [found for entry in entries if (found := _note(Path(entry.path, NOTE)))]
    notes.sort(reverse=True)
    total = 0
    for count, (_, size, path) in enumerate(notes):
        total += size
        if total > room or count >= MOST:
            with suppress(OSError):  # somebody tries that cell again, or was faster
                Path(path, NOTE).unlink()
                shutil.rmtree(path, ignore_errors=True)


def _note(note: Path) -> tuple[int, int, str] | None:
    """When a kept folder ended, nanoseconds; its bytes; its path. None if it is not one."""
    try:
        ended = note.stat().st_mtime_ns
        return ended, _noted(note, ended), str(note.parent)
    except (OSError, ValueError):
        return None


@functools.lru_cache(2 * MOST)
def _noted(note: Path, ended: int) -> int:
    return int(note.read_text())


def _size(folder: Path) -> int:
    """Bytes of all files in a folder; links are not followed."""
    return sum(
        os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118, may be many
        for where, _, names in os.walk(folder)
        for name in names
    )


def _empty(folder: Path) -> None:
    """Remove all that a folder holds but the log."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOG:
            path.unlink(missing_ok=True)
