"""What looking inside costs."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from benchmarks.mechanism import Workload, _training, main, unobserved
from click.testing import CliRunner

from landscape_study.study.records.outcome import Outcome


@pytest.mark.slow
def test_it_measures():
    threads = torch.get_num_threads()
    done = CliRunner().invoke(main, ["--quick"])
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    assert re.match(r"digits: [+-]\d+\.\d % \(", done.output)


@pytest.mark.slow
def test_what_is_held_against_it_trains_the_same_without_looking():
    train = _training(Workload("digits", 1), "vmap")
    with unobserved():
        blind = train()
    seen = train()
    assert isinstance(blind, Outcome)
    assert isinstance(seen, Outcome)
    assert blind.mechanism == {}
    assert set(seen.mechanism) == {"weight_norm", "gradient_norm", "update_norm"}
    for metric, curve in seen.curves.items():
        np.testing.assert_array_equal(blind.curves[metric], curve)
