"""The cache: this user's alone, proven, and never in the way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from landscape_study.study.environment import cache
from landscape_study.study.environment.cache import (
    HANDED,
    cache_folder,
    is_proven,
    keep,
    prove,
    recall,
    why_distrusted,
    why_forgetful,
)

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
STRANGER = 12345  # a user that is nobody's


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder that cannot be made: what stands in its place is a file."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv(HANDED, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


class TestFolder:
    def test_it_is_made_for_this_user_alone_whatever_the_umask(self, own_cache: Path):
        before = os.umask(0)
        try:
            assert cache_folder() == cache_folder() == own_cache
        finally:
            os.umask(before)
        for folder in (own_cache, own_cache.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert why_forgetful() is None

    @pytest.mark.parametrize("above", [0, 1, 2], ids=["itself", "its parent", "above"])
    @pytest.mark.parametrize("mode", [0o777, 0o702])
    def test_where_others_may_write_it_is_not_used(self, own_cache: Path, above: int, mode: int):
        place = [own_cache, *own_cache.parents][above]
        cache_folder()
        place.chmod(mode)
        assert cache_folder() != own_cache
        assert why_forgetful() == (
            f"no cache: {place} can be written by others: chmod go-w it: what is measured and "
            "compiled now is forgotten at the end"
        )
        place.chmod(0o755)
        assert cache_folder() == own_cache

    def test_what_is_sticky_as_tmp_may_hold_it_but_not_be_it(self, own_cache: Path):
        cache_folder()
        own_cache.parent.chmod(0o1777)
        assert cache_folder() == own_cache
        own_cache.chmod(0o1777)
        assert cache_folder() != own_cache

    @ROOT
    @pytest.mark.parametrize("above", [0, 1, 2], ids=["itself", "its parent", "above"])
    def test_a_strangers_is_not_used(self, own_cache: Path, above: int):
        place = [own_cache, *own_cache.parents][above]
        cache_folder()
        os.chown(place, STRANGER, STRANGER)
        assert cache_folder() != own_cache
        assert why_distrusted(own_cache) == f"{place} belongs to another user"

    @ROOT
    def test_a_group_of_others_counts_as_others(self, own_cache: Path):
        cache_folder()
        own_cache.parent.chmod(0o770)
        assert cache_folder() == own_cache  # the group of this user alone
        os.chown(own_cache.parent, 0, STRANGER)
        assert cache_folder() != own_cache

    def test_a_link_is_followed(self, own_cache: Path, tmp_path: Path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        own_cache.parent.mkdir(parents=True)
        own_cache.symlink_to(elsewhere)
        assert why_distrusted(own_cache) is None
        elsewhere.chmod(0o777)
        assert why_distrusted(own_cache) == f"{elsewhere} can be written by others: chmod go-w it"

    def test_a_user_without_a_home_has_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        why = why_distrusted(Path("~/.cache/landscape-study"))
        assert why is not None
        assert "no home folder" in why
        assert not list(tmp_path.iterdir())

    def test_without_one_a_temporary_one_serves_until_the_end(self, no_home: Path):
        code = (
            "import subprocess, sys\n"
            "from landscape_study.study.environment.cache import *; keep('a', {'b': 1});"
            "print(cache_folder(), flush=True);"
            "subprocess.run([sys.executable, '-c',"
            " 'from landscape_study.study.environment.cache import *; '"
            " 'print(cache_folder(), recall(\"a\"))'])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        first, second = done.stdout.splitlines()
        assert second == f"{first} {{'b': 1}}"  # workers share it
        assert Path(first).parent == no_home
        assert not Path(first).exists()
        assert not done.stderr

    def test_what_was_handed_is_not_believed_where_others_may_write(
        self, no_home: Path, monkeypatch: pytest.MonkeyPatch
    ):
        planted = no_home / "planted"
        planted.mkdir()
        planted.chmod(0o777)
        monkeypatch.setenv(HANDED, str(planted))
        assert cache_folder() != planted
        assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700
        assert "file" in (why_forgetful() or "")


FACTS = {"engine": "vmap", "pace": 0.25, "why": None, "λ": [1, 2]}


@pytest.mark.usefixtures("own_cache")
class TestFacts:
    def test_they_are_recalled(self):
        assert recall("known.json") == {}
        keep("known.json", FACTS)
        assert recall("known.json") == FACTS
        assert [path.name for path in cache_folder().iterdir()] == ["known.json"]

    def test_whatever_byte_is_changed_they_are_true_or_gone(self):
        keep("known.json", FACTS)
        path = cache_folder() / "known.json"
        content = path.read_bytes()
        for place in range(len(content)):
            for flip in (1, 128):
                damaged = bytearray(content)
                damaged[place] ^= flip
                path.write_bytes(damaged)
                assert recall("known.json") == {}
            path.write_bytes(content[:place])
            assert recall("known.json") == {}
        path.write_bytes(content)
        assert recall("known.json") == FACTS

    @ROOT
    def test_a_strangers_are_not_believed(self):
        keep("known.json", FACTS)
        os.chown(cache_folder() / "known.json", STRANGER, STRANGER)
        assert recall("known.json") == {}

    def test_a_full_disk_forgets(self, monkeypatch: pytest.MonkeyPatch):
        keep("known.json", {})

        def full(path: Path, content: bytes) -> None:
            path.write_bytes(content[:3])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache, "write_safely", full)
        keep("known.json", FACTS)
        assert recall("known.json") == {}
        assert len(list(cache_folder().iterdir())) == 1


def test_a_file_is_proven_until_a_byte_changes(own_cache: Path):
    path = cache_folder() / "code.so"
    assert not is_proven(path)
    path.write_bytes(b"machine code")
    assert not is_proven(path)
    prove(path)
    assert is_proven(path)
    path.write_bytes(b"machine c0de")
    assert not is_proven(path)
