"""Small data sets in the real formats."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from landscape_study.study.tasks.data_sets import CIFAR10, CIFAR100, PIXELS, Archive, DataSet

RECORDS = 20  # of each file
SMALL_CIFAR10 = replace(CIFAR10, sizes=dict.fromkeys(CIFAR10.sizes, RECORDS * (1 + PIXELS)))
SMALL_CIFAR100 = replace(CIFAR100, sizes=dict.fromkeys(CIFAR100.sizes, RECORDS * (2 + PIXELS)))


def cifar_records(labels: tuple[int, ...], seed: int, count: int = RECORDS) -> np.ndarray:
    """Random records [count, labels + 3072]; `labels` says how many classes each label has."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(classes, size=(count, 1)) for classes in labels]
    return np.hstack([*columns, rng.integers(256, size=(count, PIXELS))]).astype(np.uint8)


def cifar_files(data_set: DataSet) -> dict[str, bytes]:
    """Random content for each file of a small CIFAR, by file name."""
    labels = (10,) if data_set.name == "cifar10" else (20, 100)
    return {
        name: cifar_records(labels, seed).tobytes() for seed, name in enumerate(data_set.sizes)
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of an archive; `fields` are those of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def official(data_set: DataSet, files: Mapping[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The entries as in the official archive: the folder, a text, the files."""
    folder = member(f"{data_set.folder}/", type=tarfile.DIRTYPE)
    text = member(f"{data_set.folder}/batches.meta.txt", b"airplane\n")
    return [folder, text, *(member(f"{data_set.folder}/{n}", c) for n, c in files.items())]


def tar_gz(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A .tar.gz file with these entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def with_archive(data_set: DataSet, content: bytes, url: str) -> DataSet:
    """The data set, to be downloaded as this archive from the folder `url`."""
    assert data_set.archive is not None
    sha256 = hashlib.sha256(content).hexdigest()
    return replace(
        data_set, archive=Archive(f"{url}/{data_set.archive.name}", len(content), sha256)
    )
