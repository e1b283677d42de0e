"""Normalization, flip and crop, each held against a plain loop."""

import pytest
import torch

from landscape_study.study.tasks.builtin.augmentation import crop, flip, flip_and_crop, normalize


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(1, 256, (33, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_normalize_is_the_same_as_channel_by_channel(images):
    """To the bit: quarters and powers of two leave nothing to round."""
    mean, deviation = (125.25, 123.0, 113.75), (64.0, 32.0, 128.0)
    normalized = normalize(images, mean, deviation)
    assert normalized.dtype == torch.float32
    for channel in range(3):
        expected = (images[:, channel].double() - mean[channel]) / deviation[channel]
        assert torch.equal(normalized[:, channel].double(), expected)


def test_flip_mirrors_the_drawn_images_only(images):
    flipped = flip(images, generator())
    drawn = torch.rand(len(images), generator=generator()) < 0.5
    assert 0 < drawn.sum() < len(images)
    for before, after, mirrored in zip(images, flipped, drawn, strict=True):
        rows = [[row.flip(0) if mirrored else row for row in channel] for channel in before]
        assert torch.equal(after, torch.stack([torch.stack(channel) for channel in rows]))


@pytest.mark.parametrize("padding", [1, 4])
def test_crop_is_the_drawn_window_of_the_padded_image(images, padding):
    images = images[..., :6]  # not square
    cropped = crop(images, generator(), padding=padding)
    tops, lefts = torch.randint(2 * padding + 1, (2, len(images)), generator=generator())
    assert cropped.shape == images.shape
    for image, found, top, left in zip(images, cropped, tops, lefts, strict=True):
        padded = torch.zeros(3, 8 + 2 * padding, 6 + 2 * padding, dtype=torch.uint8)
        padded[:, padding:-padding, padding:-padding] = image
        assert torch.equal(found, padded[:, top : top + 8, left : left + 6])


def test_every_shift_is_drawn_about_as_often_as_any_other():
    pixel = torch.zeros(40_000, 1, 9, 9)
    pixel[:, :, 4, 4] = 1
    counts = crop(pixel, generator()).sum(dim=(0, 1))  # where the pixel came to lie
    assert counts.shape == (9, 9)
    torch.testing.assert_close(counts, torch.full((9, 9), 40_000 / 81), rtol=0.2, atol=0)


def test_flip_comes_before_crop(images):
    both = flip_and_crop(images, generator())
    shared = generator()
    assert torch.equal(both, crop(flip(images, shared), shared))


def test_the_same_generator_gives_the_same_images_and_goes_on(images):
    shared = generator()
    first, second = flip_and_crop(images, shared), flip_and_crop(images, shared)
    assert torch.equal(first, flip_and_crop(images, generator()))
    assert not torch.equal(first, second)


def test_the_images_given_stay_as_they_are(images):
    before = images.clone()
    flip_and_crop(images, generator()).zero_()
    assert torch.equal(images, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gets_the_same_images(images):
    on_gpu = flip_and_crop(images.cuda(), generator())
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), flip_and_crop(images, generator()))
