"""Translations of weight decay, held against the steps of both sides."""

import math
import re
from functools import cache

import pytest
import torch

from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.conventions import CONVENTIONS, convention_called
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.schedules import Constant, Cosine
from landscape_study.study.pairs.timescale import timescale
from landscape_study.study.pairs.translation import LINEAR, rescale, translate
from tests.study.pairs.stacked_networks import largest_difference, smooth_network, train_stacked

ALPHA, LAMBDA = 0.01, 0.02
PLAIN = [pair for pair in PAIRS.values() if not pair.cautious]
SAME_RULE = [(one.name, other.name) for one in PLAIN for other in PLAIN if one.rule == other.rule]
SOME_RULES = ("sgd", "adam")


@cache
def trained(name: str, lambda_: float, schedule, momentum: float) -> torch.Tensor:
    alpha, of_cell = (torch.tensor([x], dtype=torch.float64) for x in (ALPHA, lambda_))
    options = Options(momentum=momentum)
    how = {"options": options, "schedule": schedule, "network": smooth_network, "steps": 30}
    return train_stacked(PAIRS[name], alpha, of_cell, **how)


@pytest.mark.some(12)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "to", "momentum"),
    [
        (name, to, momentum)
        for name, to in SAME_RULE
        for momentum in ((0.0, 0.9) if PAIRS[name].rule == "sgd" else (0.9,))
        if PAIRS[name].rule in SOME_RULES
    ],
)
def test_what_it_says_is_so(name: str, to: str, momentum: float):
    """Step by step: exactly under any schedule, under a constant one only, or not at all."""
    for kind, schedule in (("cosine", Cosine()), ("constant", Constant())):
        (found,) = translate(name, ALPHA, LAMBDA, to=to, schedule=kind, momentum=momentum)
        if found.lambda_ is None:
            assert found.holds == "never"
            assert "Proposition 2" in found.why
            continue
        ours = trained(to, found.lambda_, schedule, momentum)
        apart = largest_difference(trained(name, LAMBDA, schedule, momentum), ours)
        if found.holds in ("under any schedule", "under this schedule"):
            assert apart < 1e-12
        else:
            assert apart > 1e-7
    if kind == "constant" and found.lambda_ is not None:
        assert found.holds != "on average"


@pytest.mark.parametrize("name", [pair.name for pair in PLAIN if pair.rule in LINEAR])
def test_in_the_long_run_weights_remember_as_long(name: str):
    for found in translate(name, ALPHA, LAMBDA, schedule="constant"):
        assert found.lambda_ is not None
        one, other = PAIRS[name], found.to.known_pair
        epochs = timescale(one, Options(), 10).epochs(ALPHA, LAMBDA)
        assert timescale(other, Options(), 10).epochs(ALPHA, found.lambda_) == pytest.approx(
            epochs
        )


def test_there_and_back_again_is_the_same():
    for name, to in SAME_RULE:
        (there,) = translate(name, ALPHA, LAMBDA, to=to, schedule="linear")
        if there.lambda_ is not None:
            (back,) = translate(to, ALPHA, there.lambda_, to=name, schedule="linear")
            assert back.lambda_ == pytest.approx(LAMBDA)
            assert back.holds == there.holds


def test_on_average_a_schedule_takes_as_much():
    """Of a cosine from 1 to 0 the mean is 1/2, and that of its square 3/8."""
    told = {one.to.name: one for one in translate("adamw", 0.1, 0.3, schedule="cosine")}
    assert told["adam-unscheduled"].lambda_ == pytest.approx(0.15, rel=1e-3)
    assert told["adam-corrected"].lambda_ == pytest.approx(0.3 / 0.1 * (1 / 2) / (3 / 8), rel=1e-3)
    unknown = {one.to.name: one for one in translate("adamw", 0.1, 0.3)}
    assert unknown["adam-unscheduled"].lambda_ == pytest.approx(0.3)
    assert unknown["adam-unscheduled"].holds == "on average"


@pytest.mark.parametrize("name", CONVENTIONS)
def test_what_others_have_goes_to_its_pair_and_back(name: str):
    convention = CONVENTIONS[name]
    (found,) = translate(name, ALPHA, LAMBDA, to=convention.pair)
    assert found.lambda_ == LAMBDA
    assert found.holds == (
        "in the long run" if convention.holds_gradients else "under any schedule"
    )
    assert convention_called(name) == convention_called(name.lower()) == convention
    assert name not in {one.to.name for one in translate(name, ALPHA, LAMBDA)}


def test_momentum_that_holds_gradients_is_the_same_where_the_rate_is():
    for options, holds in (
        ({}, "in the long run"),
        ({"schedule": "constant"}, "under this schedule"),
        ({"momentum": 0.0}, "under any schedule"),
    ):
        (found,) = translate("torch.SGD", ALPHA, LAMBDA, to="sgd", **options)
        assert (found.lambda_, found.holds) == (LAMBDA, holds)


def test_other_rules_are_told_apart():
    (found,) = translate("torch.AdamW", ALPHA, LAMBDA, to="lion-scaled")
    assert (found.lambda_, found.holds) == (None, "never")
    assert "3 to 10 times smaller" in found.why
    (found,) = translate("adamw", ALPHA, LAMBDA, to="lion-decoupled")
    assert (found.lambda_, found.why) == (None, "another update rule")
    (found,) = translate("sgdw", ALPHA, LAMBDA, to="adamw")
    assert (found.lambda_, found.why) == (None, "another update rule")
    (found,) = translate("adamw", ALPHA, LAMBDA, to="adam-decoupled-cautious")
    assert (found.lambda_, found.why) == (None, "one of them decays some weights only")


def test_both_reasons_are_told():
    (found,) = translate("sgd", ALPHA, LAMBDA, to="sgd-unscheduled")
    assert found.holds == "on average"
    assert "η comes in otherwise; momentum repeats" in found.why
    (found,) = translate("sgd", ALPHA, LAMBDA, to="sgd-unscheduled", schedule="constant")
    assert (found.holds, found.why[:24]) == ("in the long run", "momentum repeats λ·θ: the"[:24])


def test_without_decay_it_does_not_matter_where_it_would_enter():
    assert {one.lambda_ for one in translate("adamw", ALPHA, 0.0)} == {0.0}
    assert {one.holds for one in translate("adamw", ALPHA, 0.0)} == {"under any schedule"}
    (found,) = translate("torch.SGD", ALPHA, 0.0, to="sgdw")
    assert (found.lambda_, found.holds) == (0.0, "in the long run")


def test_what_is_constant_but_for_a_warmup_is_not():
    for schedule in ({"kind": "constant", "warmup": 0.1}, {"kind": "step", "at": [0.99999]}):
        (found,) = translate("adamw", ALPHA, LAMBDA, to="adam-unscheduled", schedule=schedule)
        assert found.holds == "on average"


def test_a_name_that_only_one_has_is_enough():
    assert convention_called("nadam").name == "torch.optim.NAdam"


class TestRescale:
    """Rules of thumb are their formulas."""

    @pytest.mark.parametrize(
        ("name", "lambda_"),
        [("adamw", 0.1), ("torch.AdamW", 0.05), ("adam-squared", 0.025), ("sgd", 0.05)],
    )
    def test_at_another_rate_weights_remember_as_long(self, name: str, lambda_: float):
        (found,) = rescale(name, 0.01, 0.1, to_alpha=0.02)
        assert found.lambda_ == pytest.approx(lambda_)
        assert found.alpha == 0.02

    def test_at_another_batch_size(self):
        kept, by_root, normal = rescale("adamw", 0.01, 0.1, batch_size=4)
        assert (kept.alpha, kept.lambda_) == (0.01, pytest.approx(0.4))
        assert (by_root.alpha, by_root.lambda_) == (pytest.approx(0.02), pytest.approx(0.4))
        assert (normal.alpha, normal.lambda_) == (0.01, pytest.approx(0.2))
        _, in_proportion = rescale("torch.SGD", 0.1, 5e-4, batch_size=4)
        assert (in_proportion.alpha, in_proportion.lambda_) == (
            pytest.approx(0.4),
            pytest.approx(5e-4),
        )

    def test_at_another_budget(self):
        kept, normal = rescale("adamw", 0.01, 0.1, epochs=4)
        assert (kept.lambda_, normal.lambda_) == (pytest.approx(0.1), pytest.approx(0.05))

    def test_of_adam_with_l2_and_of_lion_no_more_is_said_than_is_known(self):
        with pytest.raises(UsageError, match="there is no rule of thumb for it"):
            rescale("adam", 0.01, 0.1, batch_size=2)
        (kept,) = rescale("lion-scaled", 0.01, 0.1, batch_size=2)
        assert "Malladi" not in kept.source

    def test_each_has_its_source(self):
        for advice in rescale("adamw", 0.01, 0.1, batch_size=2, epochs=2):
            assert re.search(r"arXiv \d{4}\.\d{5}|ICLR 2019", advice.source)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("AdamW", "'AdamW' means different things: choose one of torch.optim.AdamW, "),
        ("torch.AdmaW", "unknown optimizer 'torch.AdmaW': did you mean torch.optim.AdamW"),
        ("lion", "'lion' means different things: choose one of optax.lion, "),
        ("adamw-", "unknown pair 'adamw-': did you mean adamw"),
        ("adamx", "unknown pair 'adamx': did you mean adam"),
    ],
)
def test_wrong_names_are_told(name: str, told: str):
    with pytest.raises(UsageError, match=re.escape(told)):
        translate(name, ALPHA, LAMBDA)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"alpha": 0.0}, "give a positive learning rate"),
        ({"alpha": math.nan}, "give a positive learning rate"),
        ({"lambda_": -1.0}, "a weight decay that is not negative"),
        ({"alpha": 1e-170}, "α = 1e-170 is too small for λ to be told"),
        ({"momentum": 1.0}, "momentum 1: give one from 0 to less than 1"),
        ({"schedule": "cosin"}, "schedule 'cosin': none as it is written in a study file"),
        ({"schedule": "restarts"}, "schedule 'restarts': none as it is written"),
    ],
)
def test_wrong_numbers_are_told(changes: dict[str, object], told: str):
    cell = {"alpha": ALPHA, "lambda_": LAMBDA}
    with pytest.raises(UsageError, match=re.escape(told)):
        translate("adamw", **cell | changes)  # type: ignore[arg-type]
    if "schedule" not in changes and changes.get("alpha") != 1e-170:
        with pytest.raises(UsageError, match=re.escape(told)):
            rescale("adamw", **cell | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["to_alpha", "batch_size", "epochs"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_what_is_changed_to_no_positive_number_is_told(name: str, value: float):
    with pytest.raises(UsageError, match="give a positive number"):
        rescale("adamw", ALPHA, LAMBDA, **{name: value})
