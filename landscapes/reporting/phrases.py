"""Numbers and verdicts in words, for the terminal and the report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.budget_ranks import BudgetRank
from landscape_study.landscapes.statistics.comparison import Comparison
from landscape_study.landscapes.statistics.explanation import Candidate, Explanation
from landscape_study.landscapes.statistics.law import Law
from landscape_study.landscapes.statistics.separability import BENT, TILTED, Separability
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.quantities import format_number, format_roughly
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.cell_numbers import (
    ALPHA,
    LAMBDA,
    USUAL,
    Names,
    measures,
    number_called,
    symbols,
)
from landscape_study.study.spec.metric import Metric

UNKNOWN = "–"
TAKEN = "what matters is taken to be"
TAU = "what matters, or the noise of a cell where that is larger"
MOVED = 0.25  # octaves of λ per octave of α: what is less goes without saying
WAYS = {"λ": "leave", "α·λ": "halve", "λ/α": "double"}  # the best λ, by what stays, when α doubles

EXPLAINED = (
    "How far the best value of λ, of α·λ and of the timescale of the decay (epochs that the "
    "weights remember) moves over the α of good rows and over the panels of a pair: root mean "
    "square, in octaves. What explains the landscape stays."
)
MOVES = (
    "Octaves from the middle of the first basin to that of the second: 1 means twice the value. "
    "Normalized λ takes the budget T out: λ = λ_norm·√(b/(B·T)) with batch size b and B training "
    "examples."
)

MEANT = {ALPHA: "the learning rate", LAMBDA: "the regularization factor"}
CHOSEN = (
    "Over cells that were chosen as the best of the cheaper budget the correlation is lower than "
    "it would be over all: those that differ most are left out."
)


def glossary(names: Names = USUAL) -> dict[str, str]:
    """What the numbers of verdicts are, of landscapes over these axes."""
    (up, across), (x, y) = symbols(names), measures(names)
    found = {
        "tilt": f"correlation of log {x} and log {y} over the good cells: −1 a falling diagonal, "
        "0 upright or flat, 1 a rising diagonal",
        "drift": f"octaves by which the best {y} moves when {x} doubles: −1 means “double {x}, "
        f"halve {y}”, 0 means that the best {across} stays",
        "interaction": "share of the variation near the optimum that no sum of an effect of "
        f"{up} and an effect of {across} explains: 0 separable, towards 1 coupled",
        "product": "whether α·λ (towards 1) or λ (towards −1) describes the landscape better, by "
        "what each leaves unexplained beside α",
        "law": f"log {y}* = a + b·log {x} for the best {across} of each {up}: b = 0, {across} may "
        "stay"
        + (
            "; b = −1, what counts is α·λ; b is the drift"
            if names == USUAL
            else "; b is the drift"
        ),
        "regret": f"what is lost by tuning {across} at one {up} and then {up} at that {across}, "
        f"instead of both together: mean over the {up} to start from, and the worst of them",
    }
    return {name: told for name, told in found.items() if names == USUAL or name != "product"}


def first_upper(phrase: str) -> str:
    """The phrase as a sentence begins: "validation NLL" → "Validation NLL"; val_loss stays."""
    is_name = "_" in phrase.partition(" ")[0]
    return phrase if is_name else phrase[:1].upper() + phrase[1:]


def lost(metric: Metric) -> str:
    """What costs are counted in: "points of error", "nats of validation loss", "accuracy"."""
    return f"{metric.differences} of {metric.noun}" if metric.differences else metric.noun


def verdicts_note(metric: Metric, names: Names = USUAL) -> str:
    """What the numbers in a table of verdicts are."""
    zero = (
        f"; the best {metric.noun} may be at λ = 0, all other numbers leave λ = 0 out"
        if names[1] == LAMBDA
        else ""
    )
    unit = " in percent" if metric.unit == "%" else f" in {metric.unit}" if metric.unit else ""
    return (
        f"{first_upper(metric.title)}{unit}, ± its standard error over seeds; intervals of 95 %. "
        f"{_meanings(names)}{zero}."
    )


def _meanings(names: Names) -> str:
    """What axes are: "α is the learning rate, λ the regularization factor"."""
    numbers = [number_called(name) for name in names]
    told = [f"{one.symbol} is {MEANT[one.name]}" for one in numbers if one.name in MEANT]
    told[1:] = [one.replace(" is ", " ", 1) for one in told[1:]]
    shares = [one for one in numbers if one.scale == "share"]
    told += [f"{one.symbol} is measured by log2 of {one.measure}" for one in shares]
    return ", ".join(told) or f"Axes: {', '.join(symbols(names))}"


def differences_note(metric: Metric, names: Names = USUAL) -> str:
    """What the numbers in a table of differences are."""
    (up, across), over = symbols(names), ", all over λ > 0" if names[1] == LAMBDA else ""
    return (
        f"Second panel minus first{over}, also the best {metric.noun}. Rank correlation "
        f"and transfer use the cells with the same {up} and {across} in both; transfer is what it "
        "costs in "
        f"the second panel, in {lost(metric)}, to take the best cell of the first (∞: it diverges "
        "there)."
    )


def budgets_note(metric: Metric, *, is_chosen: bool) -> str:
    """What the numbers in a table of budgets are.

    Args:
        metric: what was measured.
        is_chosen: whether any panel has the best cells of a cheaper one.
    """
    return (
        "Over the cells with the same α and λ > 0 in both. Rank correlation: Spearman's. Place: "
        "of the second panel's best cell among all of the first. Lost: what it costs in the "
        f"second panel, in {lost(metric)}, to take the best cell of the first (∞: it diverges "
        "there). α, λ: octaves by which the middle of the good cells moves from the first to the "
        "second: 1 means twice the value."
    ) + f" {CHOSEN}" * is_chosen


def budget_numbers(found: BudgetRank) -> list[tuple[str, str]]:
    """The numbers of a step from budget to budget, each with its interval, "" where unknown.

    Rank correlation, place of the dear panel's best cell, loss, and the moves of α and λ.
    """
    rank, *costs = (
        (number(one.value, digits), interval(one, digits))
        for one, digits in (
            (found.rank, 2),
            (found.lost, found.units.digits),
            (found.alpha, 2),
            (found.lambda_, 2),
        )
    )
    return [rank, (placed(found), ""), *costs]


def placed(found: BudgetRank) -> str:
    """Which place the dear panel's best cell has at the cheap one: "5 of 81"."""
    return UNKNOWN if found.place is None else "{} of {}".format(*found.place)


def budget_line(found: BudgetRank) -> str:
    """Whether a cheap budget tells where to train at a dear one, in a sentence or two."""
    if math.isnan(found.rank.value) or found.place is None:
        return (
            f"What {found.cheap} tells of {found.dear} is not known: {found.cells} cells with "
            "λ > 0 are finished in both."
        )
    told = {
        True: f"{found.cheap} is enough to tune for {found.dear}",
        False: f"{found.cheap} is not enough to tune for {found.dear}",
        None: f"It is open whether {found.cheap} is enough to tune for {found.dear}",
    }[found.is_enough]
    cut = (
        f" Beside it lie cells that were not chosen: with a larger share, {found.dear} may have "
        "better ones."
    )
    return (
        f"{told}: its best cell costs {difference(found.lost, found.units)} there (what matters: "
        f"{what_matters(found.units)}). The ranks of {found.cells} cells correlate by "
        f"{with_interval(found.rank)}; the best one of {found.dear} has place {placed(found)} at "
        f"{found.cheap}." + cut * found.is_cut
    )


def rule(metric: Metric, names: Names = USUAL) -> str:
    """How verdicts follow from the numbers."""
    up, across = symbols(names)
    return (
        f"Coupled: the whole 95 % interval of the tilt lies beyond ±{TILTED} (a diagonal), or "
        f"that of the regret above τ ({TAU}), "
        f"or that of the interaction above {BENT} and that of the regret above 0 (a bend); or, on "
        "a grid whose basin cannot show any of this (too narrow, mostly on the border, its noise "
        f"unknown or no less than what it changes), the best {across} moves with {up} and never "
        "back, in an order that chance hardly gives. Separable: none of "
        f"these, the whole interval of the tilt lies within ±{TILTED}, and both {up} and {across} "
        f"change "
        f"the {metric.noun} by more than noise. Cannot tell: anything else."
    )


def verdict_numbers(found: Separability) -> list[tuple[str, str]]:
    """The numbers of a verdict, each with its interval, "" where that is unknown.

    Tilt, drift, interaction, regret, and the worst regret.
    """
    digits = found.units.digits
    shown = (
        *((one, 2) for one in (found.tilt, found.drift, found.interaction)),
        *((one, digits) for one in (found.regret, found.worst_regret)),
    )
    return [(number(one.value, places), interval(one, places)) for one, places in shown]


def comparison_numbers(found: Comparison) -> list[tuple[str, str]]:
    """The numbers of a comparison, each with its interval, "" where that is unknown.

    Best value, tilt, drift, interaction, regret, rank correlation and transfer.
    """
    digits = found.units.digits
    shown = (
        (found.best, digits),
        *((one, 2) for one in (found.tilt, found.drift, found.interaction)),
        (found.regret, digits),
        (found.rank, 2),
        (found.transfer, digits),
    )
    return [(number(one.value, places), interval(one, places)) for one, places in shown]


def number(value: float, digits: int = 2) -> str:
    """A number with a real minus sign: "−0.88"; a dash for NaN, "∞" for inf."""
    return UNKNOWN if math.isnan(value) else format_number(value, digits)


def plain_markdown(text: str) -> str:
    """Text that means nothing in Markdown or HTML, whoever wrote it."""
    return re.sub(r"([\\`*<>\[\]|#!&])", r"\\\1", text)


def interval(estimate: Estimate, digits: int = 2) -> str:
    """The 95 % interval: "−0.90 to −0.85"; empty where it is unknown."""
    if not estimate.has_interval:
        return ""
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def with_interval(estimate: Estimate, digits: int = 2) -> str:
    """The value, and its interval where it is known: "−0.88 (−0.90 to −0.85)"."""
    known = interval(estimate, digits)
    return number(estimate.value, digits) + (f" ({known})" if known else "")


def difference(estimate: Estimate, units: Units) -> str:
    """A difference with its interval and unit: "0.32 (0.11 to 0.56) points"."""
    told = with_interval(estimate, units.digits)
    return f"{told} {units.metric.differences}".rstrip()


def witnessed(
    witness: Witness | None,
    cell: str,
    error: str,
    noise: float | None,
    epochs: int | None,
    units: Units = PERCENT,
) -> str:
    """How far the witness of a panel lies from what was recorded, in sentences.

    Args:
        witness: the one of the panel that counts, if it has any.
        cell: which one it is: "α = 1/16, λ = 1/64".
        error: what the study's metric is called.
        noise: standard deviation between seeds, in the metric's unit; None with one seed.
        epochs: the panel's budget.
        units: of the panel.
    """
    if witness is None:
        return "No witness: no cell of this panel was trained again by a plain loop."
    found, recorded = _value(witness.found, units), _value(witness.recorded, units)
    return (
        f"Witness: {cell}, seed {witness.seed}, was trained again by a plain loop, for "
        f"{witness.epochs} of {epochs} epochs. Its {error} is then {found}, where {recorded} was "
        f"recorded{_apart(witness, noise, units)}{_moved(witness, units)}."
    )


def _apart(witness: Witness, noise: float | None, units: Units) -> str:
    """How far the two values of a witness lie from each other; empty where one is unknown."""
    if math.isnan(witness.distance):
        return ""
    deviations = witness.deviations(noise)
    if math.isnan(deviations):
        return f": {units.apart(witness.distance)} apart"
    return f": {number(deviations, 1)} standard deviations of the seeds' noise apart"


def _moved(witness: Witness, units: Units) -> str:
    """What rounding does to the cell; empty where that is unknown."""
    if math.isnan(witness.rounding):
        return ""
    moved = units.apart(witness.rounding)
    return f"; one rounding unit in its start weights moves it by {moved}"


def _value(value: float, units: Units) -> str:
    return "none" if math.isnan(value) else units.told(value)


def verdict_line(title: str, found: Separability) -> str:
    """One line for the terminal: "SGDW: separable, tilt 0.02 (−0.12 to 0.15), …".

    Where no statistic decided, the reason in the place of the numbers.
    """
    if found.rule in (None, "order"):
        return f"{title}: {found.verdict}, {found.reason}"
    return (
        f"{title}: {found.verdict}, tilt {with_interval(found.tilt)}, one-at-a-time tuning costs "
        f"{difference(found.regret, found.units)}"
    )


def cost(found: Separability) -> str:
    """What tuning one at a time costs, as a sentence; empty where that is unknown."""
    if math.isnan(found.regret.value):
        return ""
    what = "" if found.units.metric.is_percent_error else f" of {found.units.metric.title}"
    worst = with_interval(found.worst_regret, found.units.digits)
    up, across = symbols(found.names)
    return (
        f"Tuning {across} first and {up} then costs {difference(found.regret, found.units)}{what} "
        f"on average over the {up} to start from, {worst} at worst."
    )


def advice(found: Separability) -> str:
    """What the verdict means for whoever tunes."""
    up, across = symbols(found.names)
    if found.verdict == "coupled":
        return (
            f"Tune {up} and {across} together: a {across} found at one {up} is wrong at another."
        )
    if found.verdict == "separable":
        margin = f"{found.units.matters:.{found.units.digits}f} {found.units.metric.differences}"
        shown = "shown" if found.is_shown else "not shown"
        return (
            f"Tune {across} at any {up} of the basin, then {up} at that {across}: nothing asks "
            f"for a joint search. That this costs less than {margin.rstrip()} is {shown}."
        )
    return "No advice on tuning one at a time follows from this landscape."


def taken(units: Units) -> str:
    """Which difference matters, where none was given: "what matters is taken to be 0.0047"."""
    return f"{TAKEN} {what_matters(units)}"


def what_matters(units: Units) -> str:
    """The difference that matters in two digits, with its unit: "0.0047 nats"."""
    return f"{format_roughly(units.matters)} {units.metric.differences}".rstrip()


def hinges(found: Separability) -> str:
    """That the verdict is another with another difference that matters; "" if it is not.

    "with half of it the verdict would be “separable”".
    """
    shares: dict[str, list[str]] = {}
    for matters, verdict in found.otherwise:
        share = "with half of it" if matters < found.units.matters else "with twice as much"
        shares.setdefault(verdict, []).append(share)
    told = [
        f"{' or '.join(one)} the verdict would be “{verdict}”" for verdict, one in shares.items()
    ]
    return ", ".join(told)


def law_line(found: Law, names: Names = USUAL) -> str:
    """What to do with λ when α doubles: "Double α: halve λ (b = −0.97, −1.08 to −0.87)."."""
    x, y = measures(names)
    b = found.exponent
    if not b.has_interval:
        return ""
    known = f"b = {number(b.value)}, {interval(b)}"
    if len(found.allowed) == 1:
        return f"Double {x}: {WAYS[found.allowed[0]]} {y} ({known})."
    least, most = f"{2**b.low:.2g}", f"{2**b.high:.2g}"
    by = f"{found.factor:.2g}" + (f", {least} to {most}" if least != most else "")
    none = "" if found.allowed else "; no plain law"
    several = f"; {' and '.join(found.allowed)} may each be what counts" if found.allowed else ""
    if names != USUAL:  # whose laws have no name
        none = several = ""
    return f"Double {x}: multiply {y} by {by} ({known}{none}{several})."


def how_lambda_goes(found: Separability) -> list[str]:
    """What a verdict lets say of λ where α changes: the law, or that it moves all the same.

    Nothing where there is no verdict: such advice would stand beside "no advice". Nor where they
    are coupled by a bend, which no line describes, or though the drift lets λ stay. Where the
    order of the best λ decided, a drift that does not go that way says nothing.
    """
    stays = found.verdict == "coupled" and "λ" in found.law.allowed
    if found.verdict == "cannot tell":
        return []
    if found.slope is not None and not _goes_along(found.drift, found.slope):
        way = "smaller" if found.slope < 0 else "larger"
        alone = f"b = {number(found.slope, 1)} by the best cells alone, no interval"
        up, across = symbols(found.names)
        return [f"Raise {up}: look for a {way} {across} ({alone})."]
    if stays or (found.verdict == "coupled" and found.rule == "interaction"):
        return []
    return [line for line in (law_line(found.law, found.names), moves_yet(found)) if line]


def _goes_along(drift: Estimate, slope: float) -> bool:
    """Whether the whole interval of a drift is as steep as coupled, in the way of a slope."""
    return drift.lies_beyond(TILTED) and drift.value * slope > 0


def moves_yet(found: Separability) -> str:
    """Of a separable panel, that its best λ moves with α all the same; empty where it does not."""
    if found.verdict != "separable" or not found.drift.lies_beyond(MOVED):
        return ""
    how = ", which was not given: --matters gives it" if found.units.derived else ""
    margin = f"{found.units.matters:.{found.units.digits}f} {found.units.metric.differences}"
    up, across = symbols(found.names)
    return (
        f"Mind that the best {across} moves with {up} (b = {with_interval(found.drift)}); it is "
        f"separable since leaving {across} costs less than what matters, {margin.rstrip()}{how}."
    )


def described(found: Separability) -> str:
    """Whether λ or α·λ describes the landscape better; empty where that is unknown.

    Also where there is no verdict: it would read as one.
    """
    if found.names != USUAL or found.verdict == "cannot tell" or not found.product.has_interval:
        return ""
    told = f"{number(found.product.value)}, {interval(found.product)}, on a scale from −1 to 1"
    if found.product.low > 0:
        return f"α·λ describes the landscape better than λ does ({told})."
    if found.product.high < 0:
        return f"λ describes the landscape better than α·λ does ({told})."
    return f"The noise leaves open whether λ or α·λ describes the landscape better ({told})."


def explained(found: Explanation) -> str:
    """Which of λ, α·λ and the timescale explains the landscapes of a pair, or that it is open."""
    moves = "; ".join(map(_moves, found.candidates))
    return " ".join([f"{explained_briefly(found)} ({moves}).", *_hints(found)])


def explained_briefly(found: Explanation) -> str:
    """The same without numbers and hints, and without an end."""
    count = len(found.panels)
    where = found.title if count == 1 else f"{found.title}, {count} panels"
    if not found.is_told:
        return f"{where}: it cannot be told whether {' or '.join(found.best)} explains it best"
    told = " and ".join(found.best)
    how = " explains" if len(found.best) == 1 else ", which are the same here, explain"
    return f"{where}: {told}{how} best where good cells lie"


def _moves(one: Candidate) -> str:
    """How far the best value of a candidate moves."""
    parts = [f"{number(one.within.value)} from α to α"]
    if not math.isnan(one.between.value):
        parts.append(f"{number(one.between.value)} from panel to panel")
    return f"{one.name} moves by {with_interval(one.spread)} octaves: {', '.join(parts)}"


def left_out(found: Explanation) -> list[str]:
    """Which panels say nothing of it, and why."""
    return [f"{name} is left out: {why}" for name, why in found.left_out]


def _hints(found: Explanation) -> list[str]:
    """What was left out, and what would tell more."""
    hints = [f"{line}." for line in left_out(found)]
    if len(found.same) > 1 and set(found.best) >= set(found.same):
        told = " and ".join(found.same)
        hints.append(
            f"Only panels of other batch sizes (or other data) tell {told} apart: within one they "
            "differ by a constant."
        )
    return hints


def untuned(costs: Sequence[tuple[str, Estimate]], units: Units, names: Names = USUAL) -> str:
    """What defaults cost, each at its best α; empty where nothing is known of any."""
    known = [
        f"{name} costs {difference(cost, units)}"
        for name, cost in costs
        if not math.isnan(cost.value)
    ]
    return f"Untuned, at its best {symbols(names)[0]}: {'; '.join(known)}." if known else ""
