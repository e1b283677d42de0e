"""What is wrong with a rule of the user's own: tried on a few numbers before it trains anything.

Letters: K cells, P parameters of one cell, T steps.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from landscape_study.study.errors import PairError, first_line
from landscape_study.study.own_code.loading import line_of
from landscape_study.study.pairs.options import Options, PanelOptions
from landscape_study.study.pairs.rule import Rule

CELLS, PARAMETERS, STEPS = 3, 7, 6
RATES = (0.1, 0.03, 0.2)  # of the cells
STOP = 3  # steps, after which another object goes on
LATER = (1, 2, 1000, 100_000)  # steps at which corrections are asked for
CLOSE = 1e-9  # relative: what rounding in another order may change, in double precision
CALLED = "update(self, g, rate, moments, corrections)"


class _FaultError(Exception):
    """What is wrong, and what to do about it."""


def check_rule(
    name: str, rule: type[Rule], axes: Mapping[str, Sequence[float]] | None = None
) -> None:
    """Check that a rule does what every engine counts on.

    Args:
        name: of the rule, FILE.py:Class or package.module:Class.
        axes: values of options that it is to be trained with.

    Raises:
        PairError: saying what is wrong, where, and what to do about it.
    """
    try:
        _declares(rule)
        for look in (_steps, _is_still, _repeats, _resumes, _keeps_cells_apart, _is_element_wise):
            look(rule)
        for option, values in (axes or {}).items():
            _uses(rule, option, values)
    except _FaultError as e:
        raise PairError(f"pair '{name}': {e}") from e.__cause__


def _declares(rule: type[Rule]) -> None:
    """It says what it must, and can be made and called."""
    count = getattr(rule, "moments", None)
    if type(count) is not int or count < 0:
        said = "it does not say" if count is None else f"moments = {count!r} does not say"
        raise _FaultError(
            f"{said} how many tensors it keeps from step to step: write `moments = 1`, say, or 0"
        )
    for name in ("takes_matrices", "averages"):
        if getattr(rule, name):
            raise _FaultError(f"{name}: rules of your own have none of that: leave it out")
    _has_defaults(rule)
    if rule.update is Rule.update:
        raise _FaultError(f"it has no update: write `def {CALLED}`, which returns what θ loses")
    try:
        inspect.signature(rule.update).bind(*range(5))
    except TypeError as e:
        raise _FaultError(
            f"{_at(rule.update)} takes {inspect.signature(rule.update)}: write `def {CALLED}`"
        ) from e
    _has_corrections(rule, _made(rule))


def _has_defaults(rule: type[Rule]) -> None:
    """Its defaults are options of a panel."""
    try:
        PanelOptions.model_validate(dict(rule.defaults))
    except (ValidationError, TypeError, ValueError) as e:
        known = ", ".join(PanelOptions.model_fields)
        raise _FaultError(
            f"defaults = {rule.defaults!r}: none of options ({known}); numbers of its own are "
            "attributes of the class"
        ) from e


def _has_corrections(rule: type[Rule], made: Rule) -> None:
    """They are numbers, as many at each step."""
    found = [_tried("corrections", rule, made.corrections, t) for t in LATER]
    for t, given in zip(LATER, found, strict=True):
        is_right = isinstance(given, tuple) and len(given) == len(found[0])
        if not is_right or not all(_is_number(one) for one in given):
            raise _FaultError(
                f"{_at(rule.corrections)} gives {given!r} at step {t}: return a tuple of finite "
                "numbers, as many at each step"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _steps(rule: type[Rule]) -> None:
    """An update is a tensor like the gradient, and finite; nothing but moments is changed."""
    for dtype in (torch.float64, torch.float32):
        moments = _moments(rule, dtype=dtype)
        for t, (g, _) in enumerate(_run(rule, moments, dtype=dtype), 1):
            if not all(bool(moment.isfinite().all()) for moment in moments):
                raise _FaultError(f"a moment is no finite number after step {t}{_where(g)}")
        for number, moment in enumerate(moments, 1):
            if not moment.any():
                raise _FaultError(
                    f"moment {number} of {len(moments)} stays 0: change it in place, as by "
                    "m.mul_(…).add_(…); `m = …` makes another tensor, which is lost"
                )


def _is_still(rule: type[Rule]) -> None:
    """Where the rate is 0, as at the end of a schedule, nothing new moves θ."""
    _, update = next(_run(rule, _moments(rule), rate=0.0))
    if update.any():
        raise _FaultError(
            f"{_at(rule.update)} moves θ where the rate is 0: multiply by `rate` what it returns"
        )


def _repeats(rule: type[Rule]) -> None:
    """The same numbers give the same."""
    first, second = (_updates(rule, _moments(rule)) for _ in range(2))
    if not torch.equal(first, second):
        raise _FaultError(
            f"{_at(rule.update)} gives something else when it is run again: it draws random "
            "numbers, or keeps something outside of its moments: keep all in the moments"
        )


def _resumes(rule: type[Rule]) -> None:
    """Another object goes on with the moments, as from a checkpoint."""
    moments = _moments(rule)
    first = _updates(rule, moments, range(STOP))
    rest = _updates(rule, moments, range(STOP, STEPS))
    if not torch.equal(torch.cat([first, rest]), _updates(rule, _moments(rule))):
        raise _FaultError(
            f"{_at(rule.update)} goes on with other numbers after a checkpoint, which holds the "
            "moments and nothing else: keep in them what it keeps in attributes; what depends on "
            "the step alone, return from `corrections(self, t)`"
        )


def _keeps_cells_apart(rule: type[Rule]) -> None:
    """A cell that is trained beside others goes as it does alone."""
    together = _updates(rule, _moments(rule))
    for k in range(CELLS):
        alone = _updates(rule, _moments(rule, cells=1), cells=slice(k, k + 1))
        if not _are_close(alone, together[:, k : k + 1]):
            raise _FaultError(
                f"{_at(rule.update)} mixes cells, which are the rows of g [K, P]: what it gives "
                "one of them depends on the others: do not sum or average over the first dimension"
            )


def _is_element_wise(rule: type[Rule]) -> None:
    """A parameter goes the same way, whatever others stand beside it in its row."""
    together = _updates(rule, _moments(rule))
    for some in (slice(0, 2), slice(2, PARAMETERS)):
        width = some.stop - some.start
        apart = _updates(rule, _moments(rule, parameters=width), parameters=some)
        if not _are_close(apart, together[:, :, some]):
            raise _FaultError(
                f"{_at(rule.update)} mixes parameters, which are the columns of g [K, P]: a row "
                "may hold all of a network's or some: do not sum or average over them; what needs "
                "a layer's shape is an optimizer of its own (see docs/pairs.md)"
            )


def _uses(rule: type[Rule], option: str, values: Sequence[float]) -> None:
    """Its updates can be had with each value of the option, and are other ones."""
    made = [_made(rule, **{option: value}) for value in values]
    found = [_updates(rule, _moments(rule), made=one) for one in made]
    if len(found) > 1 and all(torch.equal(one, found[0]) for one in found):
        raise _FaultError(
            f"it makes no use of {option}, which is an axis: all of its cells would be the same: "
            f"leave it out, or use `self.{option}`"
        )


def _are_close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=CLOSE, atol=CLOSE * float(other.abs().max()))


def _updates(
    rule: type[Rule],
    moments: Sequence[Tensor],
    steps: range = range(STEPS),
    cells: slice = slice(0, CELLS),
    parameters: slice = slice(0, PARAMETERS),
    made: Rule | None = None,
) -> Tensor:
    """What θ loses at each of the steps, [T, K, P]."""
    found = _run(rule, moments, steps, cells=cells, parameters=parameters, made=made)
    return torch.stack([update.clone() for _, update in found])


def _run(
    rule: type[Rule],
    moments: Sequence[Tensor],
    steps: range = range(STEPS),
    *,
    cells: slice = slice(0, CELLS),
    parameters: slice = slice(0, PARAMETERS),
    rate: float = 1.0,
    dtype: torch.dtype = torch.float64,
    made: Rule | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Gradient and update of each of the steps, by this object or by one of its own."""
    made = made or _made(rule)
    rates = rate * torch.tensor(RATES, dtype=dtype)[cells, None]
    for t in steps:
        g = _gradients(dtype)[t, cells, parameters].clone()
        corrections = _tried("corrections", rule, made.corrections, t + 1)
        numbers = [torch.tensor(one, dtype=dtype) for one in corrections]
        yield g, _update(rule, made, g, rates.clone(), moments, numbers)


def _update(
    rule: type[Rule],
    made: Rule,
    g: Tensor,
    rate: Tensor,
    moments: Sequence[Tensor],
    corrections: Sequence[Tensor],
) -> Tensor:
    """What θ loses in a step, if it is what it must be."""
    given = {"g": g, "rate": rate}
    before = {name: tensor.clone() for name, tensor in given.items()}
    with torch.no_grad():
        found = _tried("update", rule, made.update, g, rate, list(moments), corrections)
    at = _at(rule.update)
    for name, tensor in given.items():
        if not torch.equal(tensor, before[name]):
            raise _FaultError(f"{at} changes {name} in place, which others read: work on a copy")
    if not isinstance(found, Tensor):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise _FaultError(f"{at} returns {what}: return what θ loses, a tensor like g")
    if (found.shape, found.dtype) != (g.shape, g.dtype):
        raise _FaultError(
            f"{at} returns {found.dtype} {list(found.shape)} for a gradient {g.dtype} "
            f"{list(g.shape)}: return one like it"
        )
    if not found.isfinite().all():
        raise _FaultError(f"{at} returns what is no finite number{_where(g, found)}")
    return found


def _where(g: Tensor, found: Tensor | None = None) -> str:
    """Whether zeros are to blame."""
    if found is not None and bool((g == 0)[~found.isfinite()].all()):
        return " where a gradient is 0, as behind a ReLU: add `self.eps` to what divides"
    return " for ordinary gradients, of about 1"


def _made(rule: type[Rule], **options: float) -> Rule:
    """A new object, with the options that a study has where it says nothing, or with these."""
    usual = Options().of_rule(rule.defaults)
    made: Rule = _tried("__init__", rule, rule, usual.model_copy(update=options))
    return made


def _tried(what: str, rule: type[Rule], function: Callable[..., Any], *given: object) -> Any:
    """What a function of the rule gives."""
    try:
        return function(*given)
    except (Exception, SystemExit) as e:  # whatever the user's code raises
        raise _FaultError(
            f"{what} fails ({type(e).__name__}: {first_line(e)}): mend that"
            f"{line_of(e, rule.__module__)}"
        ) from e


def _at(function: Any) -> str:
    """A function of the rule, and where it stands: "update (line 12 of mine.py)"."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return str(function)
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{function.__name__} (line {code.co_firstlineno} of {file})"


def _moments(
    rule: type[Rule],
    *,
    cells: int = CELLS,
    parameters: int = PARAMETERS,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """As they start."""
    return [torch.zeros(cells, parameters, dtype=dtype) for _ in range(rule.moments)]


def _gradients(dtype: torch.dtype) -> Tensor:
    """[T, K, P] of about 1; some are 0, always or at first."""
    coins = torch.Generator().manual_seed(0)
    found = torch.randn(STEPS, CELLS, PARAMETERS, generator=coins, dtype=torch.float64)
    found[:, :, 1], found[0, :, 4] = 0.0, 0.0
    return found.to(dtype)
