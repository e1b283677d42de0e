"""What is kept between runs, in a folder of this user's own; nothing in it is believed unproven.

Libraries from it are run, so a folder that another user owns or may write is not used. A crash, a
full disk or a copy may leave torn files, so each is proven by a digest. Where there is no such
folder, a temporary one serves this process and those that it starts.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

HANDED = "LANDSCAPE_TEMPORARY_CACHE"  # environment variable: the folder of the parent process
DIGEST = ".sha256"  # added to the name of a file: where its digest stands
WITHOUT = "what is measured and compiled now is forgotten at the end"


def cache_folder() -> Path:
    """Where things are kept; made if need be, for this user alone."""
    folder = _users_folder()
    return _temporary() if why_distrusted(folder) else folder


def why_forgetful() -> str | None:
    """Why nothing can be kept for the next run, and what that means; None if it can."""
    why = why_distrusted(_users_folder())
    return f"no cache: {why}: {WITHOUT}" if why else None


def _users_folder() -> Path:
    return user_cache_path("landscape-study") / "compiled"


def why_distrusted(folder: Path) -> str | None:
    """Why the folder is not this user's alone, or cannot be written; None if all is well.

    Made if need be. Folders above it count too: whoever may write them may replace it.
    """
    if not folder.is_absolute():
        return f"{folder} is no whole path, since this user has no home folder"
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.exists():
                place.mkdir(mode=0o700, exist_ok=True)
        real = folder.resolve(strict=True)
        with tempfile.TemporaryFile(dir=real) as file:
            file.write(b"a disk may be full")
        others = next((why for at in (real, *real.parents) if (why := _shared(at, real))), None)
    except OSError as e:
        return f"{folder} cannot be written ({e.strerror or e})"
    return others


def _shared(place: Path, folder: Path) -> str | None:
    """Why others may change what lies in `folder` by way of `place`, itself or one above it."""
    facts = place.stat()
    if facts.st_uid not in (os.getuid(), 0, Path("/").stat().st_uid):
        return f"{place} belongs to another user"
    if facts.st_mode & stat.S_ISVTX and place != folder:
        return None  # what lies there is moved by its owner only
    writers = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writers & stat.S_IWOTH or (writers and not _is_own_group(facts.st_gid)):
        return f"{place} can be written by others: chmod go-w it"
    return None


def _is_own_group(group: int) -> bool:
    """Whether it is the group that many systems make for one user alone."""
    import grp
    import pwd

    try:
        name, found = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def _temporary() -> Path:
    """The folder of a parent of this process, or else one of its own, removed at its end."""
    handed = os.environ.get(HANDED)
    if handed and Path(handed).is_dir() and not _shared(Path(handed), Path(handed)):
        return Path(handed)
    folder = Path(tempfile.mkdtemp(prefix="landscape-"))
    os.environ[HANDED] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# ---- what is kept -------------------------------------------------------------------------------


def keep(name: str, facts: dict[str, Any]) -> None:
    """Remember JSON facts under the name; several runs at once may do so.

    Where the disk is full, nothing is remembered.
    """
    text = json.dumps(facts)
    with suppress(OSError):
        _put(f"{_digest(text.encode())}\n{text}".encode(), cache_folder() / name)


def recall(name: str) -> dict[str, Any]:
    """The facts of that name; none if there are none, or they are damaged."""
    content = _content(cache_folder() / name)
    digest, _, text = content.partition(b"\n")
    if _digest(text) != digest.decode("ascii", "replace"):
        return {}
    facts = json.loads(text)
    return facts if isinstance(facts, dict) else {}


def prove(path: Path) -> None:
    """Write down the digest of a file that lies in the folder, whole and on disk."""
    _put(_digest(path.read_bytes()).encode(), path.with_name(path.name + DIGEST))


def keep_whole(content: bytes, path: Path) -> None:
    """Put a file into the folder, whole and proven; several processes at once may do so."""
    _put(content, path)
    prove(path)


def is_proven(path: Path) -> bool:
    """Whether the file is what it was when it was proven."""
    content, proof = _content(path), _content(path.with_name(path.name + DIGEST))
    return bool(content) and _digest(content).encode() == proof


def _put(content: bytes, path: Path) -> None:
    """Put a file in its place at once; where that fails, nothing is left of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        write_safely(unfinished, content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write_safely(path: Path, content: bytes) -> None:
    """Write a file and see it to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _content(path: Path) -> bytes:
    """Of a file of this user's own; nothing if there is none."""
    try:
        own = path.stat().st_uid == os.getuid()
        return path.read_bytes() if own and path.is_file() else b""
    except OSError:
        return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
