"""Which parameters λ acts on, by their names and dimensions."""

import pytest

from landscape_study.study.pairs.decay_groups import decaying, unmatched
from landscape_study.study.pairs.options import Options

GPT = {
    "embedding.weight": 2,
    "blocks.0.norm1.weight": 1,
    "blocks.0.norm1.bias": 1,
    "blocks.0.attention.weight": 2,
    "blocks.0.attention.bias": 1,
    "blocks.0.attention.norm_of_keys": 2,
    "bias": 1,
    "head.weight": 2,
}


@pytest.mark.parametrize(
    ("options", "free"),
    [
        ({}, []),
        ({"decay_1d": False}, [1, 2, 4, 6]),
        ({"no_decay": ["*.bias"]}, [2, 4]),
        ({"no_decay": ["bias"]}, [2, 4, 6]),  # the end of a name after a dot
        ({"no_decay": ["*bias", "norm*"]}, [1, 2, 4, 5, 6]),
        ({"no_decay": ["blocks.?.norm1.*", "embedding*"]}, [0, 1, 2]),
        ({"no_decay": ["Embedding*"]}, []),  # upper case is another name
        ({"no_decay": ["head"]}, []),  # no parameter, a module
        ({"no_decay": ["head.*"], "decay_1d": False}, [1, 2, 4, 6, 7]),
        ({"no_decay": ["*"]}, list(range(8))),
    ],
)
def test_patterns_and_dimensions_choose_what_decays(options, free):
    decays = decaying(GPT, Options(**options))
    assert [i for i, acts in enumerate(decays) if not acts] == free


def test_patterns_that_match_nothing_are_found():
    assert unmatched(GPT, ["*.bias", "norm*", "ln_*", "head"]) == ["ln_*", "head"]
    assert unmatched([], ["*"]) == ["*"]
