"""The folders of runs: whose are kept, and how many."""

import os
from pathlib import Path

import pytest

from landscape_study.study.objectives import kept_folders
from landscape_study.study.objectives.kept_folders import LOG, begin, settle


def ended(parent: Path, number: int, size: int, *, room: int) -> Path:
    folder = parent / f"chunk-{number}"
    begin(folder)
    (folder / "model").write_bytes(b"x" * size)
    (folder / LOG).write_text("log")
    settle(folder, keep=True, room=room)
    if (note := folder / kept_folders.NOTE).exists():
        os.utime(note, ns=(number, number))
    return folder


def there(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def test_the_oldest_make_room(tmp_path: Path):
    for number in range(1, 6):
        ended(tmp_path, number, 97, room=300)
    assert there(tmp_path) == ["chunk-3", "chunk-4", "chunk-5"]
    begin(tmp_path / "chunk-3")  # tried again: nobody's to remove
    ended(tmp_path, 6, 197, room=300)
    assert there(tmp_path) == ["chunk-3", "chunk-5", "chunk-6"]


def test_not_more_than_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_folders, "MOST", 2)
    for number in (1, 2, 3):
        ended(tmp_path, number, 1, room=300)
    assert there(tmp_path) == ["chunk-2", "chunk-3"]


def test_of_one_that_is_too_large_its_log_is_kept(tmp_path: Path):
    (tmp_path / "chunk-1" / "sub").mkdir(parents=True)
    (tmp_path / "chunk-1" / "sub" / "large").write_bytes(b"x" * 500)
    folder = ended(tmp_path, 1, 1, room=100)
    assert there(folder) == [kept_folders.NOTE, LOG]


def test_links_are_neither_followed_nor_counted(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "large").write_bytes(b"x" * 500)
    parent = tmp_path / "runs"
    begin(parent / "chunk-1")
    (parent / "chunk-1" / "data").symlink_to(tmp_path / "data")
    ended(parent, 1, 1, room=100 + len(str(tmp_path / "data")))
    assert (parent / "chunk-1" / "data").is_symlink()
    settle(parent / "chunk-1", keep=False, room=0)
    assert not parent.exists()
    assert (tmp_path / "data" / "large").exists()


def test_a_note_that_somebody_wrote_is_no_note(tmp_path: Path):
    begin(tmp_path / "chunk-1")
    (tmp_path / "chunk-1" / kept_folders.NOTE).write_text("many")
    ended(tmp_path, 2, 1, room=100)
    assert there(tmp_path) == ["chunk-1", "chunk-2"]
