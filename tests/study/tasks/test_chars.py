"""The character language model: its windows of text, and that it learns in a moment."""

import math

import pytest
import torch

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.schedules import Cosine
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel
from landscape_study.study.tasks.builtin.chars import (
    ALPHABET,
    CLASSES,
    LENGTH,
    STRETCH,
    bits,
    chars,
    chars_data,
    next_character,
)
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.training.chunk import train_chunk


def as_text(classes):
    """The characters of class numbers [T]."""
    return "".join(ALPHABET[number] for number in classes.tolist())


def test_each_target_is_the_next_character_of_the_text():
    data = chars_data()
    for inputs, targets in (
        (data.train_inputs, data.train_targets),
        (data.test_inputs, data.test_targets),
    ):
        assert inputs.shape == targets.shape == (len(inputs), LENGTH)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        assert 0 <= int(inputs.min()) <= int(inputs.max()) < CLASSES
    assert as_text(data.train_inputs[:3].flatten()).startswith('The "assert" statement\n')


def test_what_is_tested_lies_in_stretches_of_its_own():
    data = chars_data()
    assert len(data.test_inputs) * 3 == len(data.train_inputs) == 384
    first = data.test_inputs[:STRETCH]
    joined = as_text(first.flatten())
    assert joined[1:] == as_text(data.test_targets[:STRETCH].flatten())[:-1]
    assert joined not in as_text(data.train_inputs.flatten())


def test_bits_are_nats_by_ln_2_summed_over_windows():
    scores, targets = torch.randn(5, LENGTH, CLASSES), torch.randint(CLASSES, (5, LENGTH))
    one_by_one = sum(
        next_character(s[None], t[None]) for s, t in zip(scores, targets, strict=True)
    )
    assert bits(scores, targets).item() == pytest.approx(one_by_one.item() / math.log(2), rel=1e-5)


@pytest.mark.long
@pytest.mark.slow
def test_it_learns_more_than_how_often_each_character_occurs():
    data = chars_data()
    few = Data(
        *(one[:400] for one in (data.train_inputs, data.train_targets)),
        *(one[:100] for one in (data.test_inputs, data.test_targets)),
    )
    grid = Grid(alpha=Axis(values=(0.01,)), lambda_=Axis(values=(0.0,)))
    panel = Panel(pair="adamw", schedule=Cosine(warmup=0.1), epochs=4, grid=grid)
    options = Options(clip_norm=1.0, no_decay=("*.bias", "*norm*"))
    outcome = train_chunk(
        chars,
        few,
        panel,
        [Cell(0.01, 0.0), Cell(1e-9, 0.0)],
        seed=0,
        batch_size=8,
        options=options,
    )
    curve = outcome.curves["test_bits"]
    shares = (
        torch.bincount(few.test_targets.flatten(), minlength=CLASSES) / few.test_targets.numel()
    )
    unigram = -(shares[shares > 0] * shares[shares > 0].log2()).sum().item()
    assert curve[0, -1] < unigram
    assert curve[1, -1] == pytest.approx(math.log2(CLASSES), rel=0.02)  # what hardly moves
