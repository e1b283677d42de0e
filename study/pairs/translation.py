"""The λ of one optimizer in the words of another, and at another α, batch size or budget.

What a step takes of θ is c·η^p·λ·θ: c and p are those of the placement (`pairs.placements`), for
λ in the gradient of SGD those that its momentum makes of it in the end. With the same update rule,
two pairs do the same where these are the same at every step: under any schedule if p is, else
while η is constant. Of Adam and its kin no λ in the gradient does what a decay does: Proposition 2
of Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019). Nothing is trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.conventions import CONVENTIONS, Convention, convention_called
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import PAIRS, Pair
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.schedules import SCHEDULES, Schedule

Holds = Literal["under any schedule", "in the long run", "on average", "never"]

LINEAR = ("sgd", "nesterov")  # rules whose update is a sum of gradients
MOMENTS = 1000  # of a training, at which its schedule is looked at
PAPER = "Loshchilov & Hutter, ICLR 2019"
TIMESCALE = "Wang & Aitchison, arXiv 2405.13698"
BETWEEN = {  # update rules: what their authors say
    (
        "adam",
        "lion",
    ): "another update rule; its authors take a learning rate 3 to 10 times smaller, "
    "and a weight decay as many times larger (Chen et al., NeurIPS 2023)",
    ("lion", "adam"): "another update rule; Lion's authors take a learning rate 3 to 10 times "
    "larger, and a weight decay as many times smaller (Chen et al., NeurIPS 2023)",
}


@dataclass(frozen=True)
class Translation:
    """What another optimizer needs to do the same.

    Attributes:
        to: the other one.
        alpha: its learning rate at the peak of the schedule.
        lambda_: its weight decay; None where none does.
        holds: "under any schedule"; "in the long run", where weights remember much longer than
            momentum does; "on average" over the schedule, at each step only while η is constant;
            or "never".
        why: what stands in the way.
    """

    to: Convention
    alpha: float
    lambda_: float | None
    holds: Holds
    why: str = ""


@dataclass(frozen=True)
class Advice:
    """A rule of thumb: what somebody found to do for another α, batch size or budget.

    Attributes:
        name: of it.
        source: who found it.
        alpha, lambda_: what it makes of them.
    """

    name: str
    source: str
    alpha: float
    lambda_: float


def translate(
    optimizer: str,
    alpha: float,
    lambda_: float,
    *,
    to: str | None = None,
    schedule: Any = None,
    momentum: float = 0.9,
) -> list[Translation]:
    """What other optimizers need to do the same; those first of which it is true most often.

    Args:
        optimizer: its name, one of `CONVENTIONS` or a pair's.
        alpha: its learning rate, at the peak of the schedule.
        lambda_: its weight decay.
        to: another one; None for all of the same update rule.
        schedule: as in a study file, if it is known: "cosine", {"kind": "linear", …}.
        momentum: of sgd and nesterov.

    Raises:
        UsageError: there is no such optimizer or schedule; α or λ is none.

    >>> (found,) = translate("torch.optim.AdamW", 0.001, 0.1, to="adamw")
    >>> round(found.lambda_, 9), found.holds
    (0.0001, 'under any schedule')
    """
    source, options = _called(optimizer), _options(momentum)
    _require_cell(alpha, lambda_)
    etas = _etas(schedule)
    others = [_called(to)] if to is not None else _of_the_same_rule(source)
    found = [
        Translation(other, alpha, *_translated(source, other, alpha, lambda_, etas, options))
        for other in others
    ]
    order: list[Holds] = ["under any schedule", "in the long run", "on average", "never"]
    return sorted(found, key=lambda one: order.index(one.holds))


def rescale(
    optimizer: str,
    alpha: float,
    lambda_: float,
    *,
    to_alpha: float | None = None,
    batch_size: float = 1.0,
    epochs: float = 1.0,
    momentum: float = 0.9,
) -> list[Advice]:
    """Rules of thumb for the same optimizer at another α, or another batch size or budget.

    Args:
        optimizer, alpha, lambda_, momentum: as of `translate`.
        to_alpha: another α; None where a rule is to say it.
        batch_size: how many times as large, over as many epochs.
        epochs: how many times as many.

    Raises:
        UsageError: there is no such optimizer; a number is none of its kind.

    >>> [round(one.lambda_, 6) for one in rescale("torch.optim.AdamW", 0.001, 0.1, to_alpha=0.002)]
    [0.05]
    """
    source, options = _called(optimizer), _options(momentum)
    _require_cell(alpha, lambda_)
    for name, value in (("α", to_alpha), ("batch size", batch_size), ("epochs", epochs)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name} {value:g}: give a positive number")
    pair = source.known_pair

    def kept(rate: float) -> float:
        """λ with which weights remember as many epochs."""
        (c, _), (own, _) = (_decay(pair, one, options) for one in (alpha, rate))
        return lambda_ * batch_size * c / own

    rates = [("", "", to_alpha or alpha)]
    if to_alpha is None and batch_size != 1:
        rates.append(
            ("α in proportion, ", "Goyal et al., arXiv 1706.02677; ", alpha * batch_size)
            if pair.rule in LINEAR
            else ("α by the root, ", "Malladi et al., arXiv 2205.10287; ", alpha * batch_size**0.5)
        )
    found = [
        Advice(f"{name}timescale kept, in epochs", source_ + TIMESCALE, rate, kept(rate))
        for name, source_, rate in rates
    ]
    if pair.placement == "decoupled" and (batch_size, epochs) != (1, 1):
        normal = lambda_ * math.sqrt(batch_size / epochs)
        found.append(Advice("λ_norm kept", f"{PAPER}, section 3", to_alpha or alpha, normal))
    return found


def _called(name: str) -> Convention:
    try:
        return convention_called(name)
    except ValueError as e:
        raise UsageError(str(e)) from e


def _require_cell(alpha: float, lambda_: float) -> None:
    if not 0 < alpha < math.inf or not 0 <= lambda_ < math.inf:
        raise UsageError(
            f"α = {alpha:g}, λ = {lambda_:g}: give a positive learning rate, and a weight decay "
            "that is not negative"
        )


def _options(momentum: float) -> Options:
    if not 0 <= momentum < 1:
        raise UsageError(f"momentum {momentum:g}: give one from 0 to less than 1")
    return Options(momentum=momentum)


def _etas(schedule: Any) -> list[float]:
    """η over a training, at even moments; nothing if it is not known."""
    if schedule is None:
        return []
    table = {"kind": schedule} if isinstance(schedule, str) else schedule
    try:
        known = TypeAdapter[Any](Schedule).validate_python(table)
    except ValidationError as e:
        raise UsageError(
            f"schedule {schedule!r}: none as it is written in a study file, such as "
            f"{', '.join(SCHEDULES)}"
        ) from e
    return [known.eta(t + 0.5, MOMENTS) for t in range(MOMENTS)]


def _of_the_same_rule(source: Convention) -> list[Convention]:
    """Optimizers of others, and pairs that are not cautious."""
    rule = source.known_pair.rule
    known = [one for one in CONVENTIONS.values() if one.known_pair.rule == rule]
    own = [
        _called(pair.name) for pair in PAIRS.values() if pair.rule == rule and not pair.cautious
    ]
    return [one for one in (*own, *known) if one.name != source.name]


def _translated(
    source: Convention,
    to: Convention,
    alpha: float,
    lambda_: float,
    etas: Sequence[float],
    options: Options,
) -> tuple[float | None, Holds, str]:
    """λ, how far it holds, and why no further."""
    one, other = source.known_pair, to.known_pair
    if one.rule != other.rule:
        return None, "never", BETWEEN.get((one.rule, other.rule), "another update rule")
    if one.cautious != other.cautious:
        return None, "never", "one of them decays some weights only"
    by_momentum = _by_momentum(source, to, etas, options)
    if one == other:
        return lambda_, "in the long run" if by_momentum else "under any schedule", by_momentum
    in_gradient = any(PLACEMENTS[pair.placement].in_gradient for pair in (one, other))
    if in_gradient and one.rule not in LINEAR:
        return None, "never", f"λ in the gradient passes an adaptive rule (Proposition 2, {PAPER})"
    (c, power), (own, own_power) = (_decay(pair, alpha, options) for pair in (one, other))
    if power != own_power and set(etas) != {1.0}:
        seen = _mean(etas, power) / _mean(etas, own_power) if etas else 1.0
        return lambda_ * c / own * seen, "on average", "η comes in otherwise"
    if by_momentum:
        return lambda_ * c / own, "in the long run", by_momentum
    return lambda_ * c / own, "under any schedule", ""


def _by_momentum(
    source: Convention, to: Convention, etas: Sequence[float], options: Options
) -> str:
    """What momentum changes between the two; nothing where "" is."""
    if options.momentum == 0 or source.known_pair.rule not in LINEAR:
        return ""
    in_gradient = [PLACEMENTS[one.known_pair.placement].in_gradient for one in (source, to)]
    if in_gradient[0] != in_gradient[1]:
        return "momentum repeats λ·θ"
    is_constant = set(etas) == {1.0}
    if source.holds_gradients != to.holds_gradients and not is_constant:
        return "the momentum buffer of one holds gradients, that of the other η·α·g"
    return ""


def _decay(pair: Pair, alpha: float, options: Options) -> tuple[float, float]:
    """What multiplies λ·θ at η = 1, and the power of η that it goes with."""
    placement = PLACEMENTS[pair.placement]
    if placement.in_gradient:
        return alpha * RULES[pair.rule](options).gain, 1.0
    at_one = float(placement.multiplied(1.0, 1.0, alpha))
    at_two = float(placement.multiplied(1.0, 2.0, 2.0 * alpha))
    return at_one, round(math.log2(at_two / at_one))


def _mean(etas: Sequence[float], power: float) -> float:
    return sum(eta**power for eta in etas) / len(etas)
