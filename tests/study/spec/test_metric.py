"""Metrics in words: values, distances, and what is better."""

from __future__ import annotations

import math

import pytest

from landscape_study.study.quantities import format_number, format_roughly
from landscape_study.study.spec.metric import TEST_ERROR, TOP5_ERROR, Metric, telling_digits

ACCURACY = Metric("accuracy", "accuracy", goal="maximize")
IN_PERCENT = Metric("accuracy", "accuracy", unit="%", goal="maximize", matters=0.25)
LOSS = Metric("val_loss", "validation loss", unit="nats", matters=0.001)


@pytest.mark.parametrize(
    ("metric", "value", "told", "apart"),
    [
        (TEST_ERROR, 2.314, "2.31 %", "2.31 points"),
        (IN_PERCENT, 97.5, "97.50 %", "97.50 points"),
        (LOSS, 0.01234, "0.0123 nats", "0.0123 nats"),
        (LOSS, -0.01234, "−0.0123 nats", "−0.0123 nats"),
        (ACCURACY, 0.95, "0.95", "0.95"),
        (ACCURACY, 0.123456, "0.1235", "0.1235"),
        (Metric("ppl", "perplexity", matters=5000.0), 1234567.8, "1234568", "1234568"),
        (Metric("ppl", "perplexity"), 1234567.8, "1234568", "1234568"),
        (Metric("reward", "reward"), -1234.5678, "−1235", "−1235"),
    ],
)
def test_values_and_distances_for_people(metric, value, told, apart):
    assert metric.told(value) == told
    assert metric.apart(value) == apart


@pytest.mark.parametrize(
    ("metric", "noun", "best", "is_percent_error"),
    [
        (TEST_ERROR, "error", "lowest", True),
        (TOP5_ERROR, "error", "lowest", True),
        (IN_PERCENT, "accuracy", "highest", False),
        (LOSS, "validation loss", "lowest", False),
    ],
)
def test_words(metric, noun, best, is_percent_error):
    assert (metric.noun, metric.best_word) == (noun, best)
    assert metric.is_percent_error is is_percent_error


@pytest.mark.parametrize(
    ("matters", "digits"), [(0.25, 2), (0.0025, 4), (0.001, 4), (1.0, 1), (20.0, 0), (1e5, 0)]
)
def test_digits_tell_what_matters(matters, digits):
    assert telling_digits(matters) == digits


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (-0.001, 2, "0.00"),
        (-0.884, 2, "−0.88"),
        (-math.inf, 1, "−∞"),
        (math.inf, None, "∞"),
        (0.0, None, "0"),
        (-1.5e-7, None, "−1.5e-07"),
        (1.5e12, None, "1.5e+12"),
    ],
)
def test_numbers_have_a_real_minus_sign(value, digits, said):
    assert format_number(value, digits) == said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.25, "0.25"),
        (0.0784, "0.078"),
        (1234.0, "1200"),
        (123456.0, "120000"),
        (1.26e-5, "1.3e-05"),
    ],
)
def test_what_matters_is_told_in_two_digits_as_people_write_them(value: float, told: str):
    assert format_roughly(value) == told
