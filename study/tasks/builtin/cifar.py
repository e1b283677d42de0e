"""CIFAR-10 and CIFAR-100, from the official binary archives: no pickle is ever read.

A record is one label byte (CIFAR-100: two, the coarse and the fine label) and 3072 pixels: the
red, the green and the blue channel, each row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape_study.study.errors import DataError
from landscape_study.study.tasks.builtin.photographs import photographs_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.data_folder import data_command
from landscape_study.study.tasks.data_sets import (
    CHANNELS,
    CIFAR10,
    CIFAR100,
    PIXELS,
    SIDE,
    DataSet,
)

# On the scale of the pixels; CIFAR-100's are those of fb.resnet.torch, the paper's code base.
CIFAR10_MEAN, CIFAR10_DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
CIFAR100_MEAN, CIFAR100_DEVIATION = (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)


def cifar10_data(data_set: DataSet = CIFAR10) -> Data:
    """50,000 images to train on and 10,000 to test on, uint8 [B, 3, 32, 32].

    Raises:
        DataError: the data set is missing, incomplete or wrong.
    """
    return _data(data_set, label_bytes=1, classes=10)


def cifar100_data(data_set: DataSet = CIFAR100) -> Data:
    """As `cifar10_data`, with the 100 fine classes."""
    return _data(data_set, label_bytes=2, classes=100)


def _data(data_set: DataSet, *, label_bytes: int, classes: int) -> Data:
    """The last file is to test on, the others to train on."""
    folder = data_set.require()
    *train, test = (folder / name for name in data_set.sizes)
    parts = (_read(paths, label_bytes) for paths in (train, [test]))
    data = Data(*(tensor for part in parts for tensor in part))
    for targets in (data.train_targets, data.test_targets):
        if targets.max() >= classes:
            raise DataError(
                f"{folder}: label {targets.max()}, expected 0 to {classes - 1}: no official file: "
                f"delete this folder, then {data_command(data_set.name)}"
            )
    return data


def _read(paths: Sequence[Path], label_bytes: int) -> tuple[Tensor, Tensor]:
    """Images uint8 [B, 3, 32, 32] and labels int64 [B], of two labels the last."""
    try:
        records = np.concatenate([np.fromfile(path, np.uint8) for path in paths])
    except OSError as e:
        raise DataError(f"{paths[0].parent}: cannot be read ({e.strerror})") from e
    records = records.reshape(-1, label_bytes + PIXELS)
    images = np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, CHANNELS, SIDE, SIDE)
    labels = records[:, label_bytes - 1].astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


_cifar10 = partial(
    photographs_task,
    classes=10,
    data=cifar10_data,
    epochs=100,
    mean=CIFAR10_MEAN,
    deviation=CIFAR10_DEVIATION,
)

cifar10 = _cifar10("cifar10", width=64)
cifar10_2x32d = _cifar10("cifar10-2x32d", width=32)
cifar10_2x96d = _cifar10("cifar10-2x96d", width=96)
cifar100 = photographs_task(
    "cifar100",
    width=64,
    classes=100,
    data=cifar100_data,
    epochs=100,
    mean=CIFAR100_MEAN,
    deviation=CIFAR100_DEVIATION,
)
