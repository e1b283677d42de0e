"""The λ of one optimizer in the words of another, and at another α, batch size or budget.

What a step takes of θ is c·η^p·λ·θ: c and p are those of the placement (`pairs.placements`), for
λ in the gradient of SGD those that its momentum makes of it in the end. With the same update rule,
two pairs do the same where these are the same at every step: under any schedule if p is, else
while η is constant. Of Adam and its kin no λ in the gradient does what a decay does: Proposition 2
of Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019). Nothing is trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.conventions import CONVENTIONS, Convention, convention_called
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.published_laws import LINEAR, PAPER, PRECONDITIONED, laws_for
from landscape_study.study.pairs.registry import PAIRS, Pair
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.schedules import SCHEDULES, Schedule

Holds = Literal[
    "under any schedule", "under this schedule", "in the long run", "on average", "never"
]

MOMENTS = 1000  # of a training, at which its schedule is looked at
BUFFERS = (
    "the momentum buffer of one holds gradients, that of the other η·α·g: the same where η "
    "changes slowly beside it"
)
REPEATED = "momentum repeats λ·θ: the same where weights remember much longer than it does"
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
        holds: "under any schedule"; "under this schedule", as it is constant; "in the long run",
            beside which momentum is short; "on average" over the schedule; or "never".
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
    known = _schedule(schedule)
    others = [_called(to)] if to is not None else _of_the_same_rule(source)
    found = [
        Translation(other, alpha, *_translated(source, other, alpha, lambda_, known, options))
        for other in others
    ]
    return sorted(found, key=lambda one: get_args(Holds).index(one.holds))


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
        UsageError: there is no such optimizer; a number is none of its kind; λ is in the gradient
            of an adaptive rule.

    >>> [round(one.lambda_, 6) for one in rescale("torch.optim.AdamW", 0.001, 0.1, to_alpha=0.002)]
    [0.05]
    """
    source, options = _called(optimizer), _options(momentum)
    _require_cell(alpha, lambda_)
    for name, value in (("α", to_alpha), ("batch size", batch_size), ("epochs", epochs)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name} {value:g}: give a positive number")
    pair = source.known_pair
    if _in_gradient(pair) and pair.rule not in LINEAR:
        raise UsageError(f"{source.name}: {_in_adaptive(pair)}: there is no rule of thumb for it")
    rates = [("", "", to_alpha or alpha)]
    if to_alpha is None:
        rates += _rates(pair, alpha, batch_size, epochs)
    decays = _decays(pair, batch_size, epochs)
    found: dict[tuple[float, float], Advice] = {}
    for name, source_, factor in decays:
        for by, found_by, rate in rates:
            (c, _), (own, _) = (_decay(pair, one, options) for one in (alpha, rate))
            advice = Advice(by + name, found_by + source_, rate, lambda_ * factor * c / own)
            same = found.get((advice.alpha, advice.lambda_))
            if same is not None:  # the same numbers: both have found them
                advice = replace(same, source=f"{same.source}; {source_}")
            found[advice.alpha, advice.lambda_] = advice
    return list(found.values())


def _rates(
    pair: Pair, alpha: float, batch_size: float, epochs: float
) -> list[tuple[str, str, float]]:
    """What laws make of α: how, who found it, the rate; without those that leave it."""
    found = []
    for law in laws_for(pair, "alpha"):
        factor = law.factor(batch_size=batch_size, epochs=epochs)
        if factor is not None and factor != 1:
            how = f" ({law.condition})" if law.condition else ""
            found.append((f"α by {law.name}{how}, ", f"{law.source}; ", alpha * factor))
    return found


def _decays(pair: Pair, batch_size: float, epochs: float) -> list[tuple[str, str, float]]:
    """What laws multiply the decay by: name, who found it, factor."""
    laws = list(laws_for(pair, "decay"))
    factors = [law.factor(batch_size=batch_size, epochs=epochs) for law in laws]
    found = [
        (law.name, law.source, factor)
        for law, factor in zip(laws, factors, strict=True)
        if factor is not None and (law.powers.batch_size, law.powers.epochs) != (None, None)
    ]
    # At another α alone all of them say the same.
    return found if (batch_size, epochs) != (1, 1) else found[:1]


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


def _schedule(schedule: Any) -> Any:
    """The schedule that is meant; None where none is named."""
    if schedule is None:
        return None
    table = {"kind": schedule} if isinstance(schedule, str) else schedule
    try:
        return TypeAdapter[Any](Schedule).validate_python(table)
    except ValidationError as e:
        raise UsageError(
            f"schedule {schedule!r}: none as it is written in a study file, such as "
            f"{', '.join(SCHEDULES)}"
        ) from e


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
    schedule: Any,
    options: Options,
) -> tuple[float | None, Holds, str]:
    """λ, how far it holds, and why no further."""
    one, other = source.known_pair, to.known_pair
    if one.rule != other.rule:
        return None, "never", _between(one, other)
    momentum = _by_momentum(source, to, options)
    if lambda_ == 0:
        return 0.0, *_held([], [why for why in momentum if why == BUFFERS], schedule)
    if one.cautious != other.cautious:
        return None, "never", "one of them decays some weights only"
    if one == other:
        return lambda_, *_held([], momentum, schedule)
    if any(map(_in_gradient, (one, other))) and one.rule not in LINEAR:
        return None, "never", _in_adaptive(one)
    (c, power), (own, own_power) = (_decay(pair, alpha, options) for pair in (one, other))
    if own == 0 or c == 0:
        raise UsageError(f"α = {alpha:g} is too small for λ to be told: give a larger one")
    scheduled = ["η comes in otherwise"] if power != own_power else []
    seen = 1.0
    if scheduled and schedule is not None:
        seen = _mean(schedule, power) / _mean(schedule, own_power)
    return lambda_ * c / own * seen, *_held(scheduled, momentum, schedule)


def _held(scheduled: list[str], momentum: list[str], schedule: Any) -> tuple[Holds, str]:
    """How far something holds that a schedule or momentum stand in the way of."""
    whys = [*scheduled, *momentum]
    if schedule is not None and schedule.kind == "constant" and not schedule.warmup:
        if REPEATED in momentum:
            return "in the long run", REPEATED
        return "under this schedule" if whys else "under any schedule", ""
    if scheduled:
        return "on average", "; ".join(whys)
    return "in the long run" if whys else "under any schedule", "; ".join(whys)


def _between(one: Pair, other: Pair) -> str:
    """What is known of two update rules."""
    scaled = one.placement == other.placement == "scaled"
    known = BETWEEN.get((one.rule, other.rule)) if scaled else None
    return known or "another update rule"


def _in_gradient(pair: Pair) -> bool:
    return pair.entering.in_gradient


def _in_adaptive(pair: Pair) -> str:
    """Why no λ in the gradient does what a decay does."""
    named = f" (Proposition 2, {PAPER})" if pair.rule in PRECONDITIONED else ""
    return f"λ in the gradient passes what {RULES[pair.rule].title} does to it{named}"


def _by_momentum(source: Convention, to: Convention, options: Options) -> list[str]:
    """What momentum changes between the two."""
    if options.momentum == 0 or source.known_pair.rule not in LINEAR:
        return []
    enters = {_in_gradient(one.known_pair) for one in (source, to)}
    buffers = {one.holds_gradients for one in (source, to)}
    return [REPEATED] * (len(enters) > 1) + [BUFFERS] * (len(buffers) > 1)


def _decay(pair: Pair, alpha: float, options: Options) -> tuple[float, float]:
    """What multiplies λ·θ at η = 1, and the power of η that it goes with."""
    placement = pair.entering
    if placement.in_gradient:
        return alpha * RULES[pair.rule](options).gain, 1.0
    doubled = float(placement.multiplied(1.0, 2.0, 2.0))
    return float(placement.multiplied(1.0, 1.0, alpha)), math.log2(doubled)


def _mean(schedule: Any, power: float) -> float:
    """Of η^power over a training."""
    etas = [schedule.eta(t + 0.5, MOMENTS) for t in range(MOMENTS)]
    return float(sum(eta**power for eta in etas)) / MOMENTS
