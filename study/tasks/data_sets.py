"""The data sets that do not come with the tool: their files, and whether they are there."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscape_study.study.errors import DataError, UsageError
from landscape_study.study.tasks.data_folder import data_command, data_folder

CHANNELS, SIDE = 3, 32
PIXELS = CHANNELS * SIDE * SIDE  # bytes of an image
CIFAR10_FILE = 10_000 * (1 + PIXELS)  # bytes: 10,000 records of a label and an image


@dataclass(frozen=True)
class Archive:
    """A .tar.gz file that can be downloaded."""

    url: str
    size: int  # bytes
    sha256: str

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class DataSet:
    """A data set as its authors publish it: files in a folder of the data folder."""

    name: str
    about: str
    folder: str  # also the files' folder in the archive
    sizes: Mapping[str, int | None]  # bytes by file name; None where .npz compression decides
    archive: Archive | None = None
    by_hand: str = ""  # where there is no archive: how to get the files into {folder}

    @property
    def path(self) -> Path:
        """The folder of its files; need not exist."""
        return data_folder() / self.folder

    def problems(self) -> list[str]:
        """What is missing or of the wrong size, a line for each file.

        Raises:
            DataError: the folder cannot be looked into.
        """
        try:
            found = [_problem(self.path / name, size) for name, size in self.sizes.items()]
        except OSError as e:
            raise DataError(f"{e.filename or self.path}: cannot be read ({e.strerror})") from e
        return [problem for problem in found if problem is not None]

    def state(self) -> str:
        """In a few words, whether it is there."""
        problems = len(self.problems())
        if problems == 0:
            return "complete"
        if not self.path.exists():
            return "not there"
        return f"{problems} of {len(self.sizes)} files missing or wrong"

    def require(self) -> Path:
        """The folder of its files, all of them there.

        Raises:
            DataError: what is wrong, and the command that mends it.
        """
        problems = self.problems()
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            verb = "downloads it" if self.archive else "says what to put there"
            raise DataError(
                f"{self.path}: data set '{self.name}' is not complete: {problems[0]}{more}: "
                f"{data_command(self.name)} {verb}; --data or LANDSCAPE_DATA names another folder"
            )
        return self.path


def _problem(path: Path, size: int | None) -> str | None:
    """What is wrong with a file, if anything can be seen without reading it."""
    try:
        found = path.stat().st_size if path.is_file() else None
    except (FileNotFoundError, NotADirectoryError):
        found = None
    if found is None:
        return f"there is no {path.name}"
    if size is None:
        return None if zipfile.is_zipfile(path) else f"{path.name} is truncated or no .npz file"
    return None if found == size else f"{path.name} has {found:,} bytes instead of {size:,}"


# The addresses are those of https://www.cs.toronto.edu/~kriz/cifar.html, which gives MD5 sums;
# sizes and SHA-256 are from url_checksums/cifar10.txt and cifar100.txt of TensorFlow Datasets.
CIFAR10 = DataSet(
    name="cifar10",
    about="60,000 photographs of 10 classes, 32×32 (Krizhevsky 2009)",
    folder="cifar-10-batches-bin",
    sizes={f"data_batch_{i}.bin": CIFAR10_FILE for i in range(1, 6)}
    | {"test_batch.bin": CIFAR10_FILE},
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        size=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)
CIFAR100 = DataSet(
    name="cifar100",
    about="60,000 photographs of 100 classes, 32×32 (Krizhevsky 2009)",
    folder="cifar-100-binary",
    sizes={"train.bin": 50_000 * (2 + PIXELS), "test.bin": 10_000 * (2 + PIXELS)},
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        size=168_513_733,
        sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
)
IMAGENET32 = DataSet(
    name="imagenet32",
    about="1,331,167 photographs of 1000 classes, 32×32 (Chrabaszcz et al. 2017)",
    folder="imagenet32",
    sizes={f"train_data_batch_{i}.npz": None for i in range(1, 11)} | {"val_data.npz": None},
    by_hand="""\
It has no public address: log in at https://image-net.org/download-images, download
Imagenet32_train_npz.zip and Imagenet32_val_npz.zip (3.7 GB), and unpack them:
  mkdir -p {folder}
  unzip -j Imagenet32_train_npz.zip -d {folder}
  unzip -j Imagenet32_val_npz.zip -d {folder}
so that train_data_batch_1.npz to train_data_batch_10.npz and val_data.npz lie there.""",
)

DATA_SETS = {data_set.name: data_set for data_set in (CIFAR10, CIFAR100, IMAGENET32)}


def find_data_set(name: str) -> DataSet:
    """The data set called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in DATA_SETS:
        raise UsageError(f"unknown data set '{name}': choose one of {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
