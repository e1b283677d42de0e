"""Published laws: what each says of which pair and number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from landscape_study.study.pairs.published_laws import PUBLISHED_LAWS, laws_for
from landscape_study.study.pairs.registry import PAIRS

PAGE = (Path(__file__).parents[3] / "docs" / "laws.md").read_text(encoding="utf-8")


def exponents(pair: str, over, **held) -> dict[str, float]:
    """Of each law that says something, of α and of the decay."""
    return {
        f"{law.of}: {law.name}": says
        for of in ("alpha", "decay")
        for law in laws_for(PAIRS[pair], of)
        if (says := law.exponent(over, **held)) is not None
    }


def test_over_batch_sizes_with_the_epochs_held():
    assert exponents("adamw", "batch_size") == {
        "alpha: square root scaling": 0.5,
        "decay: timescale kept, in epochs": 1,
        "decay: timescale kept, share of data": 1,
        "decay: λ_norm kept": 0.5,
    }


def test_with_the_steps_held_more_epochs_go_along():
    """λ_norm·√(b/(B·T)) stays where T grows with b; the timescale in epochs does not."""
    assert exponents("adamw", "batch_size", steps_held=True) == {
        "decay: timescale kept, in epochs": 1,
        "decay: λ_norm kept": 0,
    }


@pytest.mark.parametrize("over", ["epochs", "steps"])
def test_over_budgets(over):
    assert exponents("adamw-torch", over) == {
        "decay: timescale kept, in epochs": 0,
        "decay: λ_norm kept": -0.5,
    }


def test_over_widths_authors_differ():
    found = exponents("adamw-torch", "width")
    assert found["alpha: μP"] == -1
    assert sorted({power for name, power in found.items() if "decay" in name}) == [-1, -0.5, 0]


def test_of_sgd_they_are_others():
    found = exponents("sgd", "batch_size")
    assert found["alpha: linear scaling"] == 1
    assert found["alpha: square root scaling"] == 0.5
    assert not any("μP" in name for name in exponents("sgd", "width"))


def test_l2_in_an_adaptive_rule_is_no_decay():
    assert not list(laws_for(PAIRS["adam"], "decay"))
    assert not list(laws_for(PAIRS["lion-l2"], "decay"))
    assert list(laws_for(PAIRS["sgd"], "decay"))


def test_the_factor_is_that_of_the_powers():
    (normal,) = (law for law in PUBLISHED_LAWS if law.name == "λ_norm kept")
    assert normal.factor(batch_size=4, epochs=16) == pytest.approx(0.5)
    assert normal.factor(batch_size=1, epochs=1) == 1
    (once,) = (law for law in PUBLISHED_LAWS if "share of data" in law.name)
    assert once.factor(batch_size=4, epochs=1) == 4
    assert once.factor(batch_size=1, epochs=4) is None


@pytest.mark.parametrize("law", PUBLISHED_LAWS, ids=lambda law: f"{law.name}, {law.source}")
def test_each_is_in_the_docs_with_its_source(law):
    assert re.search(r"arXiv \d{4}\.\d{4,5}|ICLR 2019", law.source)
    assert any(law.name in line and law.source in line for line in PAGE.splitlines())
