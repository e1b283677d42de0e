"""Bringing data sets into the data folder: downloaded, checked, unpacked, never half-written."""

from __future__ import annotations

import gzip
import shlex
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pooch
import requests
from filelock import FileLock

from landscape_study.study.errors import DataError
from landscape_study.study.tasks.data_folder import data_command, data_folder
from landscape_study.study.tasks.data_sets import Archive, DataSet

BLOCK = 1 << 16  # bytes read at once; what came of one is lost when a connection breaks off
TIMEOUT = 30  # seconds without an answer
FOREIGN_SIZE = 1 << 20  # bytes at most: the archives' other files are short texts

OnProgress = Callable[[int, int], None]  # bytes there so far, and in all


def fetch(data_set: DataSet, on_progress: OnProgress = lambda there, size: None) -> None:
    """Have the files of `data_set` in the data folder: from its archive, downloaded if need be.

    What is there already is not done again; a download that broke off goes on where it stopped.
    Other processes that fetch it meanwhile wait.

    Raises:
        DataError: no network, wrong archive, no room, no permission; or nothing to download.
    """
    problems = data_set.problems()
    if not problems:
        return
    if data_set.archive is None:
        counts = f"{len(problems)} of {len(data_set.sizes)} files"
        how = data_set.by_hand.format(folder=shlex.quote(str(data_set.path)))
        raise DataError(f"{data_set.path}: {problems[0]}: {counts} to be put there\n{how}")
    with _writing(data_folder()) as folder, FileLock(folder / f".{data_set.name}.lock"):
        if data_set.problems():  # still, after having waited
            path = _archive(data_set.name, data_set.archive, folder, on_progress)
            unpack(path, data_set)


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """The folder, made if need be; what the file system refuses becomes a DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as e:
        raise DataError(
            f"{e.filename or folder}: cannot be written ({e.strerror or e}): make room, or name "
            "another folder with --folder or LANDSCAPE_DATA"
        ) from e


def _archive(name: str, archive: Archive, folder: Path, on_progress: OnProgress) -> Path:
    """The archive's path, after it is there and found right."""
    path = folder / archive.name
    if not path.exists():
        _download(name, archive, path, on_progress)
        return path
    # Pooch would download a wrong one anew, over what the user may have put there.
    found = pooch.file_hash(path, alg="sha256")
    if found != archive.sha256:
        raise DataError(
            f"{path}: not the official archive, or truncated: SHA-256 {found}, expected "
            f"{archive.sha256}: delete it, then {data_command(name)} downloads it"
        )
    return path


def _download(name: str, archive: Archive, path: Path, on_progress: OnProgress) -> None:
    """Download the archive to `path`, there only when it is whole and right."""
    part = path.with_name(f"{path.name}.part")
    by_hand = f"or put the file from there to {path}"
    pooch.get_logger().setLevel("WARNING")  # there is a bar
    try:
        pooch.retrieve(
            archive.url,
            f"sha256:{archive.sha256}",
            path=path.parent,
            fname=path.name,
            downloader=ResumingDownloader(archive.size, part, on_progress),
        )
    except requests.RequestException as e:
        kept = part.stat().st_size if part.exists() else 0
        again = f"{data_command(name)} goes on from {kept:,} bytes" if kept else "try again"
        raise DataError(f"{archive.url}: {_reason(e)}: {again}, {by_hand}") from e
    except ValueError as e:  # pooch's word for a wrong checksum
        raise DataError(f"{archive.url}: wrong checksum, thrown away: try again, {by_hand}") from e


def _reason(e: requests.RequestException) -> str:
    """Why a download failed, in a few words: requests tells it in several lines."""
    if isinstance(e, requests.HTTPError) and e.response is not None:
        return f"the server answers {e.response.status_code} {e.response.reason}"
    if isinstance(e, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(e, requests.exceptions.SSLError):
        return "the server's certificate was not accepted"
    if isinstance(e, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(e, requests.ConnectionError):
        return "no connection to the server"
    return str(e)


class ResumingDownloader:
    """A downloader for pooch that goes on where an earlier one stopped.

    What has come so far is kept in a file of its own until all of it is there; pooch then checks
    it and moves it to its name.

    Args:
        size: bytes of the whole file.
        part: where to keep what has come.
        on_progress: called with the bytes there so far, and in all.
    """

    def __init__(self, size: int, part: Path, on_progress: OnProgress) -> None:
        self.size, self.part, self.on_progress = size, part, on_progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` to `output_file`.

        Raises:
            requests.RequestException: it cannot be had, or not all of it.
            DataError: what is there has another size.
        """
        there = self.part.stat().st_size if self.part.exists() else 0
        if there != self.size:
            # Compressed again on the way, it would have another size.
            headers = {"Accept-Encoding": "identity", "Range": f"bytes={there}-"}
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                self._receive(response, there)
        self.part.replace(output_file)

    def _receive(self, response: requests.Response, there: int) -> None:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            self.part.unlink(missing_ok=True)  # longer than the file: no part of it
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        there = there if resumed else 0
        announced = response.headers.get("Content-Length")
        if announced is not None and there + int(announced) != self.size:
            raise DataError(
                f"{response.url}: {there + int(announced):,} bytes instead of {self.size:,}: "
                "no official archive; nothing was written"
            )
        with self.part.open("ab" if resumed else "wb") as file:
            for block in response.iter_content(BLOCK):
                file.write(block)
                there += len(block)
                self.on_progress(there, self.size)
                if there > self.size:
                    break
        if there != self.size:
            raise requests.exceptions.ChunkedEncodingError


def unpack(archive: Path, data_set: DataSet) -> None:
    """Put the files of `data_set` from its .tar.gz file into their folder, each whole at once.

    Nothing else is written, and no name in the archive says where.

    Raises:
        DataError: the archive is truncated, lacks a file, or holds what it should not.
    """
    path = data_set.path
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        _extract(archive, data_set, part)
        path.mkdir(exist_ok=True)
        for name in data_set.sizes:
            (part / name).replace(path / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(archive: Path, data_set: DataSet, to: Path) -> None:
    """Write the files of `data_set`, as large as they should be, into the folder `to`."""
    missing = dict(data_set.sizes)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                is_wanted = str(place.parent) == data_set.folder and place.name in missing
                size = missing.pop(place.name) if is_wanted else None
                if not _is_harmless(member, size):
                    raise DataError(
                        f"{archive}: holds {member.name!r} ({member.size:,} bytes, tar type "
                        f"{member.type.decode()}): no official archive; nothing was unpacked"
                    )
                content = tar.extractfile(member) if is_wanted else None
                if content is not None:
                    with content, (to / place.name).open("wb") as file:
                        shutil.copyfileobj(content, file, BLOCK)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(f"{archive}: truncated, or no .tar.gz file ({e}): delete it") from e
    if missing:
        raise DataError(f"{archive}: lacks {', '.join(missing)}: no official archive: delete it")


def _is_harmless(member: tarfile.TarInfo, size: int | None) -> bool:
    """A folder or a regular file that stays inside; of this size, or small where it is unknown."""
    place = PurePosixPath(member.name)
    if place.is_absolute() or ".." in place.parts:
        return False
    if member.isdir():
        return size is None
    return member.isreg() and (
        member.size <= FOREIGN_SIZE if size is None else member.size == size
    )
