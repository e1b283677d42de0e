"""Rules of the user's own: how they are named, loaded, and what of a wrong one is told."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.study.errors import PairError
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.own_rules import load_optimizer, load_rule
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import known_pair, label_of, pair_called
from landscape_study.study.pairs.rule_check import check_rule
from landscape_study.study.pairs.rules import RULES

HEAD = "import torch\nfrom landscape_study import Rule\n\n\n"
SIGNUM = """class Mine(Rule):
    moments = 1

    def update(self, g, rate, moments, corrections):
        (m,) = moments
        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
        return m.sign() * rate
"""
LAST = "        return m.sign() * rate\n"
ADVANCE = "        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)\n"

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a file of rules; the name of the class Mine in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    before = set(sys.modules)

    def written(text: str) -> str:
        Path("mine.py").write_text(HEAD + text)
        return "mine.py:Mine"

    yield written
    for name in set(sys.modules) - before:
        if name == "mine":
            del sys.modules[name]


def test_rules_of_this_tool_are_right():
    for name, rule in RULES.items():
        if not (rule.takes_matrices or rule.averages):
            check_rule(name, rule)


def test_one_of_twenty_lines_is_right(write: Write):
    name = write(SIGNUM)
    rule = load_rule(name)
    check_rule(name, rule)
    made = rule(Options(beta1=0.5))
    assert (made.beta1, made.gain, made.corrections(1)) == (0.5, 1.0, ())


def swap(old: str, new: str) -> str:
    assert old in SIGNUM
    return SIGNUM.replace(old, new)


BROKEN = {
    "no moments": (
        swap("    moments = 1\n", ""),
        "it does not say how many tensors it keeps from step to step: write `moments = 1`",
    ),
    "moments that are no number": (
        swap("moments = 1", "moments = ['m']"),
        "moments = ['m'] does not say how many tensors",
    ),
    "no update": (
        "class Mine(Rule):\n    moments = 0\n",
        "it has no update: write `def update(self, g, rate, moments, corrections)`",
    ),
    "an update of fewer arguments": (
        swap("g, rate, moments, corrections", "g, rate, moments"),
        "update (line 8 of mine.py) takes (self, g, rate, moments): write `def update(self, g, ",
    ),
    "an update that fails": (
        swap(LAST, "        return m.sign() * ratio\n"),
        "update fails (NameError: name 'ratio' is not defined): mend that, line 11 of mine.py",
    ),
    "an object that cannot be made": (
        swap("    moments = 1\n", "    moments = 1\n\n    def __init__(self):\n        pass\n"),
        "__init__ fails (TypeError",
    ),
    "an update that returns nothing": (
        swap(LAST, ""),
        "update (line 8 of mine.py) returns nothing: return what θ loses, a tensor like g",
    ),
    "an update that returns no tensor": (
        swap(LAST, "        return m, rate\n"),
        "returns a tuple: return what θ loses",
    ),
    "an update of another shape": (
        swap(LAST, "        return (m.sign() * rate).sum(dim=1)\n"),
        "returns torch.float64 [3] for a gradient torch.float64 [3, 7]: return one like it",
    ),
    "an update of another precision": (
        swap(LAST, "        return (m.sign() * rate).float()\n"),
        "returns torch.float32 [3, 7] for a gradient torch.float64 [3, 7]",
    ),
    "an update that is always double": (
        swap(LAST, "        return (m.sign() * rate).double()\n"),
        "returns torch.float64 [3, 7] for a gradient torch.float32 [3, 7]",
    ),
    "a gradient that is changed": (
        swap(LAST, "        return g.copy_(m.sign() * rate)\n"),
        "changes g in place, which others read: work on a copy",
    ),
    "a rate that is changed": (
        swap(LAST, "        return m.sign() * rate.mul_(2)\n"),
        "changes rate in place",
    ),
    "a moment that is another tensor": (
        swap(ADVANCE, "        m = m * self.beta1 + g * (1 - self.beta1)\n"),
        "moment 1 of 1 stays 0: change it in place, as by m.mul_(…).add_(…); `m = …` makes",
    ),
    "NaN where a gradient is 0": (
        swap(LAST, "        return g / g.abs() * rate\n"),
        "no finite number where a gradient is 0, as behind a ReLU: add `self.eps`",
    ),
    "NaN at any gradient": (
        swap(LAST, "        return (-(g.abs() + 1)).log() * rate\n"),
        "no finite number for ordinary gradients, of about 1",
    ),
    "a moment that is infinite": (
        swap(ADVANCE, "        m.add_(g + torch.inf)\n"),
        "a moment is no finite number after step 1",
    ),
    "an update without its rate": (
        swap(LAST, "        return m.sign() * 0.1\n"),
        "moves θ where the rate is 0: multiply by `rate` what it returns",
    ),
    "a random one": (
        swap(LAST, "        return m.sign() * rate * torch.rand(1, dtype=g.dtype)\n"),
        "gives something else when it is run again: it draws random numbers, or keeps something",
    ),
    "state in the class": (
        swap(
            LAST,
            "        Mine.count = getattr(Mine, 'count', 0) + 1\n" + LAST[:-1] + " * Mine.count\n",
        ),
        "gives something else when it is run again",
    ),
    "state in the object": (
        swap(
            LAST,
            "        self.count = getattr(self, 'count', 0) + 1\n" + LAST[:-1] + " / self.count\n",
        ),
        "goes on with other numbers after a checkpoint, which holds the moments and nothing else",
    ),
    "cells that are mixed": (
        swap(LAST, "        return g / (1 + g.abs().max(dim=0).values) * rate\n"),
        "mixes cells, which are the rows of g [K, P]",
    ),
    "everything that is mixed": (
        swap(LAST, "        return g / g.norm() * rate\n"),
        "mixes cells",
    ),
    "parameters that are mixed": (
        swap(LAST, "        return g / g.norm(dim=1, keepdim=True) * rate\n"),
        "mixes parameters, which are the columns of g [K, P]",
    ),
    "corrections that are no tuple": (
        SIGNUM + "\n    def corrections(self, t):\n        return 1 - self.beta1**t\n",
        "corrections (line 13 of mine.py) gives 0.09999999999999998 at step 1: return a tuple",
    ),
    "corrections that are infinite": (
        SIGNUM
        + "\n    def corrections(self, t):\n        return (1 / (t - 2) if t != 2 else 1e999,)\n",
        "gives (inf,) at step 2: return a tuple of finite numbers",
    ),
    "corrections that fail": (
        SIGNUM + "\n    def corrections(self, t):\n        return (1 / (t - 1),)\n",
        "corrections fails (ZeroDivisionError: ",
    ),
    "defaults that are no options": (
        swap("    moments = 1\n", "    moments = 1\n    defaults = {'beta3': 0.9}\n"),
        "defaults = {'beta3': 0.9}: none of options (momentum, beta1, beta2, eps",
    ),
    "defaults that cannot be": (
        swap("    moments = 1\n", "    moments = 1\n    defaults = {'beta1': 1.5}\n"),
        "defaults = {'beta1': 1.5}: none of options",
    ),
    "matrices": (
        swap("    moments = 1\n", "    moments = 1\n    takes_matrices = True\n"),
        "takes_matrices: rules of your own have none of that: leave it out",
    ),
    "no rule": (
        "class Mine:\n    moments = 1\n",
        "is a class of another kind: write `class Mine(landscape_study.Rule)`",
    ),
    "no class": (
        "def Mine():\n    pass\n",
        "is no class: write `class Mine(landscape_study.Rule)",
    ),
    "an optimizer": (
        "class Mine(torch.optim.SGD):\n    pass\n",
        "is an optimizer, which decays in its own way: leave out the placement behind it",
    ),
    "another name": (
        SIGNUM.replace("Mine", "Yours"),
        "'mine.py' has no 'Mine': it has Yours",
    ),
    "nothing": ("x = 1\n", "'mine.py' has no 'Mine', and no rule or optimizer at all"),
    "an error": (
        "1 / 0\n",
        "importing 'mine' failed (ZeroDivisionError: division by zero): mend that, line 5 of mine",
    ),
    "no Python": ("class Mine(Rule:\n", "importing 'mine' failed (SyntaxError: "),
    "a program": ("raise SystemExit(3)\n", "importing 'mine' ended the program (SystemExit: 3)"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_is_told_in_one_message(write: Write, kind: str):
    text, message = BROKEN[kind]
    name = write(text)
    with pytest.raises(PairError, match=re.escape(message)) as told:
        check_rule(name, load_rule(name))
    assert str(told.value).startswith("pair 'mine.py:Mine'")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("beta1", (0.5, 0.9), None),
        ("beta2", (0.9, 0.99), "it makes no use of beta2, which is an axis"),
        ("beta1", (0.5, 0.99), "__init__ fails (ValueError: too long): mend that, line "),
    ],
)
def test_an_axis_is_an_option_that_it_can_have(write: Write, option, values, message):
    text = SIGNUM + (
        "    def __init__(self, options):\n"
        "        super().__init__(options)\n"
        "        if self.beta1 > 0.95:\n"
        "            raise ValueError('too long')\n"
    )
    name = write(text)
    if message is None:
        check_rule(name, load_rule(name), {option: values})
        return
    with pytest.raises(PairError, match=re.escape(message)):
        check_rule(name, load_rule(name), {option: values})


@pytest.mark.parametrize(
    "body",
    ["        if t == 4:\n            raise ValueError('late')", "        raise SystemExit(3)"],
)
def test_corrections_that_fail_are_told_at_whatever_step(write: Write, body: str):
    name = write(SIGNUM + f"    def corrections(self, t):\n{body}\n        return ()\n")
    with pytest.raises(PairError, match=r"corrections fails \((ValueError|SystemExit): "):
        check_rule(name, load_rule(name))


def test_a_file_that_is_not_there(write: Write):
    with pytest.raises(PairError, match=r"pair 'nope.py:Mine': there is no file nope.py in "):
        load_rule("nope.py:Mine")


def test_a_rule_without_a_placement_is_no_optimizer(write: Write):
    with pytest.raises(PairError, match="is an update rule, and does not say where λ enters"):
        load_optimizer(write(SIGNUM))


def test_names_say_all_that_readers_need():
    for placement, known in PLACEMENTS.items():
        pair = pair_called(f"./rules/mine.py:Mine-{placement}")
        assert (pair.name, pair.rule) == (f"rules/mine.py:Mine-{placement}", "rules/mine.py:Mine")
        assert (pair.placement, pair.label) == (placement, f"Mine-{placement}")
        assert known.title in pair.title
        assert pair.title.startswith("Mine ")
    pair = pair_called("mine.rules:Mine-scaled-cautious")
    assert (pair.cautious, pair.title) == (True, "Mine (λ scaled by α, cautious)")
    optimizer = pair_called("torch.optim:NAdam")
    assert (optimizer.title, optimizer.label) == ("NAdam (torch.optim)", "NAdam")
    assert optimizer.is_optimizer
    assert optimizer.is_trusted
    assert not pair_called("pytorch_optimizer:Lion").is_trusted
    assert label_of("adam-decoupled") == "adamw"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:Mine-l2-cautious", "λ in the gradient cannot be cautious: leave that out"),
        ("mine.py:Mine-scald", "'scald' is no placement: choose one of l2, decoupled, scaled"),
        ("mine.py:", "name a rule of your own as FILE.py:Class-placement"),
        (":Mine", "name a rule of your own as FILE.py:Class-placement"),
        ("my-rules:Mine", "name a rule of your own as FILE.py:Class-placement"),
        ("a:b:c", "name a rule of your own as FILE.py:Class-placement"),
    ],
)
def test_names_that_are_none(name: str, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        pair_called(name)
    assert known_pair(name) is None


PARTS = st.sampled_from(
    ["mine.py", "a.b", "../x", ":", "-", "Mine", "l2", "cautious", " ", "\n", "1"]
)


@given(st.one_of(st.text(), st.lists(PARTS).map("".join)))
def test_any_name_is_a_pair_or_is_refused(name: str):
    try:
        pair = pair_called(name)
    except ValueError:
        assert known_pair(name) is None
        return
    assert pair_called(pair.name) == pair == known_pair(pair.name)
    assert pair.label
