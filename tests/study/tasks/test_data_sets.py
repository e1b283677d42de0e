"""Where data sets lie, whether they are whole, and what is read from their files."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from landscape_study.study.errors import DataError, UsageError
from landscape_study.study.tasks import TASKS, load_task
from landscape_study.study.tasks.builtin.cifar import cifar10_data, cifar100_data
from landscape_study.study.tasks.builtin.imagenet32 import imagenet32_data
from landscape_study.study.tasks.data_folder import (
    DATA_FOLDER,
    data_command,
    data_folder,
    use_data_folder,
)
from landscape_study.study.tasks.data_sets import (
    CIFAR10,
    DATA_SETS,
    IMAGENET32,
    PIXELS,
    find_data_set,
)
from landscape_study.study.tasks.networks.shake_shake import shake_shake_26
from tests.study.tasks.archives import (
    SMALL_CIFAR10,
    SMALL_CIFAR100,
    cifar_files,
    cifar_records,
    write_files,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The data folder."""
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    return tmp_path


# The folder


def test_the_data_folder_is_the_users_cache_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv(DATA_FOLDER)
    assert data_folder() == pooch.os_cache("landscape-study")
    assert data_command("cifar10") == "`landscape data cifar10`"
    monkeypatch.chdir(tmp_path)
    use_data_folder(Path("my data"))
    assert data_folder() == tmp_path / "my data"
    assert data_command("cifar10") == f"`landscape data cifar10 --folder '{tmp_path}/my data'`"


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv(DATA_FOLDER, "~/data")
    assert data_folder() == Path("/home/someone/data")
    use_data_folder(Path("~/more"))
    assert data_folder() == Path("/home/someone/more")


# What is there


def test_the_official_sizes():
    assert sum(CIFAR10.sizes.values()) == 60_000 * 3073
    assert sum(DATA_SETS["cifar100"].sizes.values()) == 60_000 * 3074
    assert len(IMAGENET32.sizes) == 11


def test_an_unknown_data_set_is_told():
    assert find_data_set("cifar10") is CIFAR10
    with pytest.raises(UsageError, match="unknown data set 'mnist': choose one of cifar10, cifar"):
        find_data_set("mnist")


def test_a_data_set_is_complete_when_all_its_files_have_their_sizes(folder):
    assert SMALL_CIFAR10.state() == "not there"
    write_files(SMALL_CIFAR10.path, cifar_files(SMALL_CIFAR10))
    assert SMALL_CIFAR10.path == folder / "cifar-10-batches-bin"
    assert SMALL_CIFAR10.state() == "complete"
    assert SMALL_CIFAR10.require() == SMALL_CIFAR10.path
    (SMALL_CIFAR10.path / "test_batch.bin").unlink()
    (SMALL_CIFAR10.path / "data_batch_2.bin").write_bytes(b"short")
    assert SMALL_CIFAR10.state() == "2 of 6 files missing or wrong"
    assert SMALL_CIFAR10.problems() == [
        "data_batch_2.bin has 5 bytes instead of 61,460",
        "there is no test_batch.bin",
    ]


def test_missing_data_name_the_command_that_brings_them(folder):
    message = (
        f"{folder}/cifar-10-batches-bin: data set 'cifar10' is not complete: there is no "
        f"data_batch_1.bin (and 5 more): `landscape data cifar10 --folder {folder}` downloads it; "
        "--data or LANDSCAPE_DATA names another folder"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_task("cifar10").data()
    with pytest.raises(DataError, match=r"`landscape data imagenet32 .*` says what to put there"):
        load_task("imagenet32").data()


def test_a_file_where_the_data_folder_should_be_holds_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path / "file"))
    assert CIFAR10.state() == "not there"


def test_a_folder_that_cannot_be_read_is_told(folder, monkeypatch):
    """Raised by hand: tests may run as root, who may read everything."""

    def is_file(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(DataError, match=r"data_batch_1.bin: cannot be read \(Permission denied\)"):
        CIFAR10.problems()


# CIFAR


@pytest.mark.parametrize(
    ("data_set", "load", "labels"),
    [(SMALL_CIFAR10, cifar10_data, (10,)), (SMALL_CIFAR100, cifar100_data, (20, 100))],
    ids=["cifar10", "cifar100"],
)
def test_cifar_is_read_record_by_record(folder, data_set, load, labels):
    write_files(data_set.path, cifar_files(data_set))
    data = load(data_set)
    records = [cifar_records(labels, seed) for seed in range(len(data_set.sizes))]
    for images, targets, expected in (
        (data.train_inputs, data.train_targets, np.concatenate(records[:-1])),
        (data.test_inputs, data.test_targets, records[-1]),
    ):
        assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
        assert images.shape == (len(expected), 3, 32, 32)
        assert images.is_contiguous()
        for image, target, record in zip(images, targets, expected.tolist(), strict=True):
            *_, fine = record[: len(labels)]
            assert target == fine
            pixels = [pixel for channel in image.tolist() for row in channel for pixel in row]
            assert pixels == record[len(labels) :]


@pytest.mark.parametrize(
    ("data_set", "load", "label"),
    [(SMALL_CIFAR10, cifar10_data, (10,)), (SMALL_CIFAR100, cifar100_data, (0, 100))],
    ids=["cifar10", "cifar100"],
)
@pytest.mark.parametrize("which", [0, -1], ids=["train", "test"])
def test_a_label_beyond_the_classes_is_told(folder, data_set, load, label, which):
    files = cifar_files(data_set)
    name = list(files)[which]
    files[name] = bytes(label) + files[name][len(label) :]
    write_files(data_set.path, files)
    message = (
        f"{data_set.path}: label {label[-1]}, expected 0 to {label[-1] - 1}: no official file"
    )
    with pytest.raises(DataError, match=message):
        load(data_set)


@pytest.mark.long
def test_cifar10_of_the_official_size(folder):
    rng = np.random.default_rng(0)
    CIFAR10.path.mkdir()
    for name in CIFAR10.sizes:
        records = rng.integers(256, size=(10_000, 1 + PIXELS), dtype=np.uint8)
        records[:, 0] %= 10
        records.tofile(CIFAR10.path / name)
    data = load_task("cifar10").data()
    assert data.train_inputs.shape == (50_000, 3, 32, 32)
    assert data.test_inputs.shape == (10_000, 3, 32, 32)
    assert torch.bincount(data.train_targets).min() > 4500


# ImageNet32x32

IMAGES = {name: 3 + i for i, name in enumerate(IMAGENET32.sizes)}  # in each file
TEST = IMAGES["val_data.npz"]
TRAIN = sum(IMAGES.values()) - TEST


def imagenet_file(name, compressed=False, **changes):
    """Write a small file of ImageNet32x32; `changes` replaces arrays, None leaves one out."""
    rng = np.random.default_rng(IMAGES[name])
    arrays = {
        "data": rng.integers(256, size=(IMAGES[name], PIXELS), dtype=np.uint8),
        "labels": rng.integers(1, 1001, size=IMAGES[name]),
        "mean": rng.random(PIXELS),
    } | changes
    IMAGENET32.path.mkdir(parents=True, exist_ok=True)
    save = np.savez_compressed if compressed else np.savez
    kept = {key: array for key, array in arrays.items() if array is not None}
    save(IMAGENET32.path / name, **kept)
    return kept


@pytest.fixture
def imagenet(folder):
    """A small ImageNet32x32: its arrays by file name."""
    return {name: imagenet_file(name, compressed=i % 2 == 0) for i, name in enumerate(IMAGES)}


def test_imagenet32_is_read_in_the_order_of_its_files(imagenet):
    data = imagenet32_data(TRAIN, TEST)
    *train, test = imagenet.values()
    for images, targets, files in (
        (data.train_inputs, data.train_targets, train),
        (data.test_inputs, data.test_targets, [test]),
    ):
        assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
        pixels = np.concatenate([file["data"] for file in files])
        assert images.shape == (len(pixels), 3, 32, 32)
        assert np.array_equal(images.flatten(1).numpy(), pixels)
        labels = np.concatenate([file["labels"] for file in files])
        assert (targets + 1).tolist() == labels.tolist()


def test_a_pixel_of_imagenet32_lies_where_the_format_says(imagenet):
    image = imagenet32_data(TRAIN, TEST).test_inputs[0]
    pixels = imagenet["val_data.npz"]["data"][0]
    assert image[1, 2, 3] == pixels[1 * 1024 + 2 * 32 + 3]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN + 1, TEST, f"{TRAIN} images in train_data_batch_1.npz to train_data_batch_10.npz"),
        (TRAIN - 1, TEST, f"{TRAIN} images in train_data_batch_1.npz to train_data_batch_10.npz"),
        (4, TEST, f"{TRAIN} images in train_data_batch_1.npz to train_data_batch_10.npz"),
        (TRAIN, TEST + 1, f"{TEST} images in val_data.npz, expected {TEST + 1}: unpack it anew"),
    ],
)
def test_imagenet32_with_images_missing_or_left_over(imagenet, train, test, message):
    with pytest.raises(DataError, match=message):
        imagenet32_data(train, test)


def test_the_official_numbers_of_images_are_expected(imagenet):
    with pytest.raises(DataError, match="expected 1,281,167: unpack it anew"):
        load_task("imagenet32").data()


LABELS = np.arange(1, IMAGES["val_data.npz"] + 1)
PIXELS_OF_TEST = np.zeros((TEST, PIXELS), np.uint8)
WRONG_ARRAYS = {
    "label 0": ({"labels": LABELS - 1}, f"labels 0 to {TEST - 1}, expected 1 to 1000"),
    "label 1001": ({"labels": LABELS + 1000}, f"labels 1001 to {1000 + TEST}, expected 1 to 1000"),
    "too few labels": ({"labels": LABELS[1:]}, r"labels of int64 and shape \[12\], expected int"),
    "real labels": ({"labels": LABELS / 2}, r"labels of float64 and shape \[13\], expected inte"),
    "no labels": ({"labels": None}, "cannot be read"),
    "pickled labels": ({"labels": np.array([1, "a"], object)}, "allow_pickle=False"),
    "pickled images": ({"data": np.array([1, "a"], object)}, "allow_pickle=False"),
    "real images": (
        {"data": PIXELS_OF_TEST.astype(np.float32)},
        r"data of float32 and shape \[13, 3072\], expected uint8 \[B, 3072\]",
    ),
    "64×64": ({"data": np.zeros((TEST, 4 * PIXELS), np.uint8)}, r"shape \[13, 12288\], expected"),
    "images as one": ({"data": PIXELS_OF_TEST.ravel()}, r"shape \[39936\], expected uint8"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_a_wrong_file_of_imagenet32_is_told(imagenet, changes, message):
    imagenet_file("val_data.npz", **changes)
    with pytest.raises(DataError, match=rf"^{IMAGENET32.path}/val_data\.npz: .*{message}"):
        imagenet32_data(TRAIN, TEST)


def test_a_truncated_file_of_imagenet32_is_seen_before_any_is_read(imagenet):
    path = IMAGENET32.path / "train_data_batch_7.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train_data_batch_7\.npz is truncated or no \.npz file"):
        imagenet32_data(TRAIN, TEST)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_of_imagenet32_is_told(imagenet, compressed):
    imagenet_file("val_data.npz", compressed)
    path = IMAGENET32.path / "val_data.npz"
    content = bytearray(path.read_bytes())
    content[5000:5100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"val_data\.npz: cannot be read \("):
        imagenet32_data(TRAIN, TEST)


def test_another_zip_file_under_the_name_is_told(imagenet):
    path = IMAGENET32.path / "val_data.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match=r"val_data\.npz: cannot be read \("):
        imagenet32_data(TRAIN, TEST)


# The tasks

DOWNLOADED = {name: entry for name, entry in TASKS.items() if entry.data_set}


@pytest.mark.parametrize("name", DOWNLOADED)
def test_the_tasks_train_as_the_paper_says(name):
    task = load_task(name)
    assert task.name == name
    assert task.batch_size == 128
    epochs, classes = {"cifar10": (100, 10), "cifar100": (100, 100), "imagenet32": (150, 1000)}[
        DOWNLOADED[name].data_set
    ]
    assert (task.epochs, task.classes) == (epochs, classes)
    width = int(name.rpartition("-2x")[2].rstrip("d")) if "-2x" in name else 64
    expected = shake_shake_26(width, classes)
    found = task.network()
    assert [p.shape for p in found.parameters()] == [p.shape for p in expected.parameters()]


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        ("imagenet32", (122.7, 116.65, 104.0), (255.0, 255.0, 255.0)),
    ],
)
def test_the_tasks_normalize_what_is_stored_and_augment_it(name, mean, deviation):
    task = load_task(name)
    stored = torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)
    normalized = task.normalize(stored)
    expected = (200 - torch.tensor(mean)) / torch.tensor(deviation)
    torch.testing.assert_close(normalized[0, :, 0, 0], expected)
    augmented = task.augment(normalized, torch.Generator().manual_seed(0))
    assert augmented.shape == normalized.shape
    found = {round(value, 4) for value in augmented[:, 0].unique().tolist()}
    assert found == {0.0, round(expected[0].item(), 4)}  # the image, and a border of zeros
