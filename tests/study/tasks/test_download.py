"""Downloads that break off, archives that are wrong, folders that cannot be written."""

import itertools
import re
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from landscape_study.study.errors import DataError
from landscape_study.study.tasks.data_folder import DATA_FOLDER
from landscape_study.study.tasks.data_sets import IMAGENET32
from landscape_study.study.tasks.download import BLOCK, FOREIGN_SIZE, fetch, unpack
from tests.study.tasks.archives import (
    SMALL_CIFAR10,
    SMALL_CIFAR100,
    cifar_files,
    member,
    official,
    tar_gz,
    with_archive,
    write_files,
)
from tests.study.tasks.web import Web, serving

FILES = cifar_files(SMALL_CIFAR10)
CONTENT = tar_gz(official(SMALL_CIFAR10, FILES))
NAME = "cifar-10-binary.tar.gz"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The data folder, not there yet."""
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def web():
    """A server of the small archive."""
    with serving(Web(CONTENT)) as served:
        yield served


@pytest.fixture
def small(web, folder):
    """The small CIFAR-10, to be had from the server."""
    return with_archive(SMALL_CIFAR10, CONTENT, web.url)


def names(folder):
    """What is in a folder, locks apart."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def put(folder, content):
    """An archive that the user put into the data folder."""
    write_files(folder, {NAME: content})


# Downloading


@pytest.mark.parametrize("says_length", [True, False])
def test_a_data_set_is_downloaded_and_unpacked(small, web, folder, says_length):
    web.says_length = says_length
    fetch(small)
    assert small.state() == "complete"
    assert {name: (small.path / name).read_bytes() for name in FILES} == FILES
    assert names(folder) == [small.folder, NAME]
    assert names(small.path) == sorted(FILES)


def test_cifar100_unpacks_into_its_own_folder(folder):
    files = cifar_files(SMALL_CIFAR100)
    content = tar_gz(official(SMALL_CIFAR100, files))
    write_files(folder, {"cifar-100-binary.tar.gz": content})
    fetch(with_archive(SMALL_CIFAR100, content, "http://127.0.0.1:1"))
    assert names(folder / "cifar-100-binary") == ["test.bin", "train.bin"]


def test_what_is_there_is_not_downloaded_again(small, web):
    fetch(small)
    fetch(small)
    assert len(web.asked) == 1
    (small.path / "test_batch.bin").unlink()
    fetch(small)
    assert small.state() == "complete"
    assert len(web.asked) == 1


def test_files_without_their_archive_are_enough(small, web, folder):
    write_files(small.path, FILES)
    fetch(small)
    assert web.asked == []
    assert names(folder) == [small.folder]


def test_progress_is_told_in_bytes(small):
    told = []
    fetch(small, lambda *counts: told.append(counts))
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_download_that_broke_off_goes_on_where_it_stopped(small, web, folder):
    web.stop_after = BLOCK + 1000
    message = (
        f"{web.url}/{NAME}: the connection broke off: `landscape data cifar10 --folder {folder}` "
        f"goes on from {BLOCK:,} bytes, or put the file from there to {folder}/{NAME}"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        fetch(small)
    assert names(folder) == [f"{NAME}.part"]
    assert small.state() == "not there"
    with pytest.raises(DataError, match=f"goes on from {2 * BLOCK:,} bytes"):
        fetch(small)
    web.stop_after = None
    fetch(small)
    assert web.asked == ["bytes=0-", f"bytes={BLOCK}-", f"bytes={2 * BLOCK}-"]
    assert names(folder) == [small.folder, NAME]


def test_a_server_that_cannot_start_in_the_middle_starts_anew(small, web, folder):
    web.stop_after, web.ranges = BLOCK + 1000, False
    with pytest.raises(DataError, match=f"goes on from {BLOCK:,} bytes"):
        fetch(small)
    web.stop_after = None
    fetch(small)
    assert small.state() == "complete"


def test_without_a_length_a_broken_connection_is_noticed_too(small, web, folder):
    web.stop_after, web.says_length = 100_000, False
    with pytest.raises(DataError, match=r"the connection broke off: .* from 100,000 bytes"):
        fetch(small)
    assert names(folder) == [f"{NAME}.part"]


def test_a_part_that_is_whole_is_not_downloaded_again(small, web, folder):
    write_files(folder, {f"{NAME}.part": CONTENT})
    fetch(small)
    assert web.asked == []
    assert small.state() == "complete"


@pytest.mark.parametrize(
    "part", [CONTENT + b"more", bytes(len(CONTENT))], ids=["too long", "wrong"]
)
def test_a_part_of_something_else_is_thrown_away(small, folder, part):
    write_files(folder, {f"{NAME}.part": part})
    with pytest.raises(DataError, match=r"answers 416 .*: try again|wrong checksum, thrown away"):
        fetch(small)
    assert names(folder) == []
    fetch(small)
    assert small.state() == "complete"


def test_interrupted_it_keeps_what_has_come(small, web, folder):
    def interrupt(there, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(small, interrupt)
    assert names(folder) == [f"{NAME}.part"]
    kept = (folder / f"{NAME}.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    fetch(small)
    assert web.asked == ["bytes=0-", f"bytes={kept}-"]
    assert small.state() == "complete"


@pytest.mark.parametrize(
    ("served", "length", "message"),
    [
        (CONTENT[:-1] + b"x", True, "wrong checksum, thrown away: try again, or put the file"),
        (b"<html>log in", True, f"12 bytes instead of {len(CONTENT):,}: no official archive"),
        (CONTENT + b"x", True, f"{len(CONTENT) + 1:,} bytes instead of {len(CONTENT):,}: no off"),
        (CONTENT + b"x" * 10**6, False, "the connection broke off"),
    ],
    ids=["changed", "a page", "too long", "too long, not said"],
)
def test_another_file_at_the_address(small, web, folder, served, length, message):
    web.content, web.says_length = served, length
    with pytest.raises(DataError, match=message):
        fetch(small)
    assert NAME not in names(folder)
    assert small.state() == "not there"
    web.content = CONTENT
    for _ in range(2):  # what is too long for a part is noticed at the next try only
        try:
            fetch(small)
        except DataError as e:
            assert "416" in str(e)  # noqa: PT017
    assert small.state() == "complete"


def test_a_server_that_refuses(small, web, folder):
    web.status = 403
    message = f"{NAME}: the server answers 403 Forbidden: try again, or put the file from there to"
    with pytest.raises(DataError, match=message):
        fetch(small)
    assert names(folder) == []


def test_no_network(folder):
    small = with_archive(SMALL_CIFAR10, CONTENT, "http://127.0.0.1:1")
    message = f"no connection to the server: try again, or put the file from there to {folder}/"
    with pytest.raises(DataError, match=message):
        fetch(small)
    assert names(folder) == []
    put(folder, CONTENT)
    fetch(small)
    assert small.state() == "complete"


def test_two_at_once_download_once(small, web):
    threads = [threading.Thread(target=fetch, args=(small,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert small.state() == "complete"
    assert len(web.asked) == 1


def test_what_has_no_address_is_told_what_to_put_where(folder):
    where = folder / "imagenet32"
    with pytest.raises(DataError) as caught:
        fetch(IMAGENET32)
    message = str(caught.value)
    assert message.startswith(
        f"{where}: there is no train_data_batch_1.npz: 11 of 11 files to be put there\n"
    )
    assert f"unzip -j Imagenet32_train_npz.zip -d {where}\n" in message
    assert not folder.exists()


# Archives put there by hand


WRONG = {
    "truncated": CONTENT[:-4],
    "empty": b"",
    "something else": b"x" * 1000,
    "changed": CONTENT[:100_000] + bytes(1000) + CONTENT[101_000:],
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_truncated_or_wrong_archive_is_told_and_left_alone(small, web, folder, content):
    put(folder, content)
    with pytest.raises(
        DataError, match=f"{NAME}: not the official archive, or truncated: SHA-256"
    ):
        fetch(small)
    assert names(folder) == [NAME]
    assert web.asked == []


def entry(number):
    """One of the official entries."""
    return official(SMALL_CIFAR10, FILES)[number]


def big(name, size=FOREIGN_SIZE + 1):
    return member(name, bytes(size))


FOLDER = SMALL_CIFAR10.folder
HOSTILE = {
    "absolute": member("/tmp/landscape-evil", b"evil"),
    "above": member("../evil", b"evil"),
    "above, inside": member(f"{FOLDER}/../../evil", b"evil"),
    "symbolic link": member(f"{FOLDER}/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member(f"{FOLDER}/link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "link for a file": member(
        f"{FOLDER}/data_batch_1.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd"
    ),
    "folder for a file": member(f"{FOLDER}/data_batch_1.bin", type=tarfile.DIRTYPE),
    "device": member(f"{FOLDER}/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": member(f"{FOLDER}/pipe", type=tarfile.FIFOTYPE),
    "huge": big(f"{FOLDER}/zeros.bin"),
    "huge file of ours": big(f"{FOLDER}/data_batch_1.bin"),
    "short file of ours": member(f"{FOLDER}/data_batch_1.bin", b"short"),
    "a roundabout way": member(f"{FOLDER}/data_batch_1.bin/../data_batch_1.bin", b"twice"),
}


@pytest.mark.parametrize("evil", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_hostile_archive_writes_nothing(folder, evil, first):
    entries = official(SMALL_CIFAR10, FILES)
    if evil[0].name == f"{FOLDER}/data_batch_1.bin":
        entries = [e for e in entries if e[0].name != evil[0].name]
    put(folder, tar_gz([evil, *entries] if first else [*entries, evil]))
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(DataError, match=f"holds '{re.escape(evil[0].name)}' .* nothing was unp"):
        unpack(folder / NAME, SMALL_CIFAR10)
    assert sorted(folder.parent.rglob("*")) == before
    assert not Path("/tmp/landscape-evil").exists()


def test_a_second_file_of_a_name_does_not_replace_the_first(folder):
    again = member(f"{FOLDER}/data_batch_1.bin", b"short")
    put(folder, tar_gz([*official(SMALL_CIFAR10, FILES), again]))
    unpack(folder / NAME, SMALL_CIFAR10)
    assert (SMALL_CIFAR10.path / "data_batch_1.bin").read_bytes() == FILES["data_batch_1.bin"]


DAMAGED = {
    "truncated": CONTENT[: len(CONTENT) // 2],
    "empty": b"",
    "not compressed": b"x" * 1000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_writes_nothing(folder, content):
    put(folder, content)
    with pytest.raises(DataError, match=f"{NAME}: (truncated, or no .tar.gz file|lacks|holds)"):
        unpack(folder / NAME, SMALL_CIFAR10)
    assert names(folder) == [NAME]


def test_an_archive_that_lacks_a_file_is_told(folder):
    put(folder, tar_gz(official(SMALL_CIFAR10, FILES)[:-1]))
    with pytest.raises(DataError, match=r"lacks test_batch\.bin: no official archive: delete it"):
        unpack(folder / NAME, SMALL_CIFAR10)
    assert names(folder) == [NAME]


def test_what_a_killed_process_left_is_cleared(small, folder):
    write_files(folder / f".{FOLDER}.part", {"data_batch_1.bin": b"half"})
    fetch(small)
    assert names(folder) == [FOLDER, NAME]
    assert small.state() == "complete"


# Folders


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_file_in_the_place_of_the_folder(small, folder, monkeypatch, below):
    folder.write_text("")
    monkeypatch.setenv(DATA_FOLDER, str(folder / below))
    with pytest.raises(DataError, match=r"data.*: cannot be written \(.*\): make room, or name"):
        fetch(small)
    assert folder.read_text() == ""


def test_a_file_in_the_place_of_the_data_set(small, folder):
    write_files(folder, {FOLDER: b"mine"})
    with pytest.raises(DataError, match=rf"{FOLDER}: cannot be written \(File exists\)"):
        fetch(small)
    assert (folder / FOLDER).read_bytes() == b"mine"
    assert names(folder) == [FOLDER, NAME]


def test_a_full_disk_keeps_what_fitted(small, folder, monkeypatch):
    counts = itertools.count()

    def full(there, size):
        if next(counts) == 0:
            raise OSError(28, "No space left on device")

    message = r"data: cannot be written \(No space left on device\): make room, or name another"
    with pytest.raises(DataError, match=message):
        fetch(small, full)
    fetch(small, full)
    assert small.state() == "complete"


def test_a_sha_of_other_content_is_never_accepted(small, folder):
    assert small.archive is not None
    other = replace(small, archive=replace(small.archive, sha256="0" * 64))
    with pytest.raises(DataError, match="wrong checksum"):
        fetch(other)
    assert names(folder) == []
