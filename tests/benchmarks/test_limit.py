"""The machine's limit: operations counted, rates measured, shares made of both."""

from __future__ import annotations

import pytest
from benchmarks.limit import rate, share_of_limit, step_flops
from benchmarks.networks import NETWORKS

from landscape_study.study.tasks import load_task

MLP = NETWORKS["mlp1d"]


def test_the_operations_of_a_perceptron_are_those_of_its_products():
    layers = (40 * 100, 100 * 100, 100 * 10)
    forward = backward = 2 * sum(layers)
    to_inputs = 2 * sum(layers[1:])  # nobody needs the gradient of the data
    training, evaluation = step_flops(load_task("benchmarks.tasks:mlp1d"), 128)
    assert training == (forward + backward + to_inputs) * 4000 / 32  # examples, steps of an epoch
    assert evaluation == forward * 1000 / 32


def test_a_rate_counts_what_was_done():
    assert 1e6 < rate((2, 16, 16, 16), 0.01) < 1e13


def test_the_share_is_the_limit_by_what_the_tool_took():
    training, evaluation = step_flops(load_task("benchmarks.tasks:mlp1d"), 128)
    throughput = {
        "settings": {"cells": 10, "epochs": 2},
        "rows": [
            {"row": "loop", "repetitions": [{"training_s": 1.0}]},
            {"row": "tool", "repetitions": [{"training_s": 0.064}, {"training_s": 0.128}]},
        ],
    }
    rate = 1e4 * (training + evaluation)  # so that the limit is 100 µs
    facts = share_of_limit(MLP, rate, throughput)
    assert facts["limit_us"] == pytest.approx(100)
    assert facts["reached_us"] == pytest.approx({"median": 150, "min": 100, "max": 200})
    assert facts["share"] == pytest.approx({"median": 0.75, "min": 0.5, "max": 1.0})
    assert "share" not in share_of_limit(MLP, rate, None)
