"""What a user may say of a file."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import landscape_study as ls
from landscape_study.study.errors import UsageError

WRONG = [
    ({"goal": "min"}, "goal = 'min': choose one of None, 'minimize', 'maximize'"),
    ({"goal": "up"}, "goal = 'up': choose one of None, 'minimize', 'maximize'"),
    ({"goal": ""}, "goal = '': choose one of None"),
    ({"goal": False}, "goal = False: choose one of None"),
    ({"goal": np.array([1, 2])}, "goal = array([1, 2]): choose one of None"),
    ({"keep": "first"}, "keep = 'first': choose one of 'last', 'best', 'each'"),
    ({"keep": None}, "keep = None: choose one of 'last', 'best', 'each'"),
    ({"matters": -1}, "matters = -1: give a positive difference of the metric"),
    ({"matters": 0}, "matters = 0: give a positive difference"),
    ({"matters": math.nan}, "matters = nan: give a positive difference"),
    ({"matters": "0.1"}, "matters = '0.1': give a positive difference"),
    ({"matters": True}, "matters = True: give a positive difference"),
    ({"alpha": 3}, "alpha = 3: give the name of a column, as text"),
    ({"seed": ["a", "b"]}, "seed = ['a', 'b']: give the name of a column, as text"),
    ({"where": True}, "where = True: give a condition on rows, as text"),
]


@pytest.mark.parametrize(("said", "message"), WRONG)
def test_what_cannot_be_is_refused(said, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        ls.Asked(**said)


def test_numbers_of_numpy_are_numbers():
    assert ls.Asked(matters=np.float32(0.5)).matters == 0.5
    assert ls.Asked(matters=np.int64(2)).matters == 2
