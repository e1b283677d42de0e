"""ImageNet32x32, from the official .npz files: no pickle is ever read.

Chrabaszcz, Loshchilov & Hutter, "A Downsampled Variant of ImageNet as an Alternative to the
CIFAR datasets", arXiv 1707.08819. An image is 3072 pixels: the red, the green and the blue
channel, each row by row.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from landscape_study.study.errors import DataError
from landscape_study.study.tasks.builtin.photographs import photographs_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.data_sets import CHANNELS, IMAGENET32, PIXELS, SIDE

TRAIN_EXAMPLES, TEST_EXAMPLES, CLASSES = 1_281_167, 50_000, 1000
MEAN, DEVIATION = (122.7, 116.65, 104.0), (255.0, 255.0, 255.0)  # on the scale of the pixels
AGAIN = "unpack it anew from the official archive"


def imagenet32_data(train: int = TRAIN_EXAMPLES, test: int = TEST_EXAMPLES) -> Data:
    """`train` images to train on and `test` to test on, uint8 [B, 3, 32, 32]: 3.9 GB.

    Raises:
        DataError: the data set is missing, incomplete or wrong.
    """
    folder = IMAGENET32.require()
    *train_paths, test_path = (folder / name for name in IMAGENET32.sizes)
    return Data(*_read(train_paths, train), *_read([test_path], test))


def _read(paths: Sequence[Path], count: int) -> tuple[Tensor, Tensor]:
    """Images uint8 [B, 3, 32, 32] and class numbers int64 [B], one file in memory at a time."""
    images = torch.empty(count, CHANNELS, SIDE, SIDE, dtype=torch.uint8)
    targets = torch.empty(count, dtype=torch.int64)
    filled = 0
    for path in paths:
        pixels, labels = _read_npz(path)
        end = filled + len(labels)
        if end <= count:
            images[filled:end] = torch.from_numpy(pixels).view(-1, CHANNELS, SIDE, SIDE)
            targets[filled:end] = torch.from_numpy(labels.astype(np.int64)) - 1
        filled = end
    if filled != count:
        where = paths[0].parent if len(paths) > 1 else paths[0]
        files = " to ".join(dict.fromkeys((paths[0].name, paths[-1].name)))
        raise DataError(f"{where}: {filled:,} images in {files}, expected {count:,}: {AGAIN}")
    return images, targets


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [B, 3072] and labels [B], 1 to 1000, of one file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, NpzFile):
                raise ValueError("one array instead of several")
            pixels, labels = file["data"], file["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(f"{path}: cannot be read ({e}): {AGAIN}") from e
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        found = f"data of {pixels.dtype} and shape {list(pixels.shape)}"
        raise DataError(f"{path}: {found}, expected uint8 [B, {PIXELS}]: {AGAIN}")
    if labels.dtype.kind not in "iu" or labels.shape != (len(pixels),):
        found = f"labels of {labels.dtype} and shape {list(labels.shape)}"
        raise DataError(f"{path}: {found}, expected integers [{len(pixels)}]: {AGAIN}")
    if len(labels) and not (labels.min() >= 1 and labels.max() <= CLASSES):
        found = f"labels {labels.min()} to {labels.max()}"
        raise DataError(f"{path}: {found}, expected 1 to {CLASSES}: {AGAIN}")
    return pixels, labels


_imagenet32 = partial(
    photographs_task,
    classes=CLASSES,
    data=imagenet32_data,
    epochs=150,
    mean=MEAN,
    deviation=DEVIATION,
)

imagenet32 = _imagenet32("imagenet32", width=64)
imagenet32_2x96d = _imagenet32("imagenet32-2x96d", width=96)
