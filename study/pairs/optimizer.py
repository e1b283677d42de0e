"""A pair at work on the stacked parameters of a chunk.

Shapes: K cells, P parameters of one cell; see `pairs.rules` and `pairs.placements`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from landscape_study.study.pairs.averaged_rules import ScheduleFreeSGD, Weighing
from landscape_study.study.pairs.matrix_rules import Muon
from landscape_study.study.pairs.meter import Meter
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.pairs.rules import RULES

if TYPE_CHECKING:
    from torch import Tensor

Matrix = tuple[int, int]  # rows, columns
TensorFunction = Callable[..., Any]  # of tensors, to a tuple of tensors
SMALL = 1e-6  # what torch adds to a norm before it divides by it


class PairOptimizer:
    """One pair at work on the stacked parameters of a chunk.

    Args:
        pair: what to do.
        theta: parameters [K, P], updated in place by `step`.
        alpha: learning rates [K].
        lambda_: regularization factors [K].
        options: betas, ε, momentum.
        decays: what λ is multiplied by for each parameter of the network: 0 where it does not
            act; None for 1, as in the authors' code.
        widths: how many of the P each parameter of the network takes; None for one parameter.
        matrices: rows and columns of each parameter that a rule which treats matrices whole is to
            treat so, None for others; None for none at all.
        program: turns the update, a function of tensors that works in place, into a faster one.

    Attributes:
        moments: of the rule, each [K, P].
        steps: how many steps each parameter of the network has done.
        weighing: of the last step in the mean of a rule that averages.
        meter: what its steps were like.
    """

    def __init__(
        self,
        pair: Pair,
        theta: Tensor,
        alpha: Tensor,
        lambda_: Tensor,
        options: Options,
        decays: Sequence[float] | None = None,
        widths: Sequence[int] | None = None,
        matrices: Sequence[Matrix | None] | None = None,
        program: Callable[[TensorFunction], TensorFunction] = lambda function: function,
    ) -> None:
        self.placement, self.cautious = PLACEMENTS[pair.placement], pair.cautious
        self.theta = theta
        self.alpha = alpha[:, None]  # [K, 1 or P]
        self.rule = RULES[pair.rule](options)
        self.moments = [theta.new_zeros(theta.shape) for _ in range(self.rule.moments)]
        self.widths = [theta.shape[1]] if widths is None else list(widths)
        self.matrices = list(matrices or [None] * len(self.widths))
        taken = [matrix is not None for matrix in self.matrices]
        rates = [1.0] * len(taken)
        self.lambda_ = lambda_[:, None]  # [K, 1 or P]
        if self.rule.takes_matrices:
            rates = [1.0 if whole else options.rest_alpha for whole in taken]
            shares = [1.0 if whole else options.rest_lambda for whole in taken]
            decays = [a * b for a, b in zip(decays or [1.0] * len(taken), shares, strict=True)]
        if any(factor != 1 for factor in rates):
            self.alpha = self.alpha * self._columns(rates)
        if decays is not None and any(factor != 1 for factor in decays):
            self.lambda_ = self.lambda_ * self._columns(decays)
        self.steps = [0] * len(self.widths)
        self.weighing = Weighing()
        self._stepping: Tensor | None = None  # θ of the steps, while tests are of other weights
        self.clip_norm = options.clip_norm
        self.meter = Meter(theta, clips=not math.isinf(options.clip_norm))
        self._run = program(self.update)

    def step(
        self,
        g: Tensor,
        eta: float,
        lambda_scale: float = 1.0,
        present: Sequence[bool] | None = None,
    ) -> None:
        """One step from gradient `g` [K, P] at schedule multiplier `eta`.

        A parameter without a gradient is left alone, as by torch.optim: it does not decay, its
        momentum does not move it, and its bias corrections do not count the step.

        Args:
            lambda_scale: turns a normalized λ into the λ of this step (see `normalizer`).
            present: which parameters of the network have a gradient; None for all of them.
        """
        clip = self.clip(g)
        before = self.theta.clone() if self.meter.is_due() else None
        self._move(g, eta, lambda_scale, present, clip)
        self.meter.count(*clip)
        if before is not None:
            moved = before.sub_(self.theta)
            for part, there in zip(moved.split(self.widths, dim=1), present or (), strict=False):
                if not there:
                    part.zero_()  # it may be infinite, which has no difference
            self.meter.measure(g, moved)

    def _move(
        self,
        g: Tensor,
        eta: float,
        lambda_scale: float,
        present: Sequence[bool] | None,
        clip: Sequence[Tensor],
    ) -> None:
        """θ and the moments after the step, of those parameters that have a gradient."""
        moved = [True] * len(self.widths) if present is None else present
        self.weighing = self.weighing.after(eta)
        self.steps = [t + there for t, there in zip(self.steps, moved, strict=True)]
        rate, decay = self.factors(eta, lambda_scale, self.alpha, self.lambda_)
        if all(moved) and len(set(self.steps)) == 1:
            more = (*self.moments, *self._corrections(self.steps[0]))
            self._run(self.theta, g, rate, decay, *clip, *more)
            return
        first = 0
        for width, t, there in zip(self.widths, self.steps, moved, strict=True):
            own = slice(first, first + width)
            if there:
                rows, corrections = [self.theta, g, *self.moments], self._corrections(t)
                self.update_columns(own, rows, rate, decay, clip, corrections)
            first += width

    def update_columns(
        self,
        own: slice,
        rows: Sequence[Tensor],
        rate: Tensor,
        decay: Tensor,
        clip: Sequence[Tensor],
        corrections: Sequence[Tensor],
    ) -> None:
        """`update` of some columns of θ, the gradient and the moments, each [K, P]."""
        for part, matrix in self._parts(own):
            theta, g, *moments = (row[:, part] for row in rows)
            speed, some = (one if one.shape[1] == 1 else one[:, part] for one in (rate, decay))
            g = g * clip[0] if clip else g
            self._update(theta, g, speed, some, moments, corrections, matrix)

    def _parts(self, own: slice) -> Iterator[tuple[slice, Matrix | None]]:
        """Columns that are updated at once, of those of some parameters; matrices for themselves.

        `own` begins and ends where parameters do.
        """
        first, begin = 0, own.start
        for width, matrix in zip(self.widths, self.matrices, strict=True):
            end = first + width
            if matrix is not None and self.rule.takes_matrices and own.start <= first < own.stop:
                if begin < first:
                    yield slice(begin, first), None
                yield slice(first, first + math.prod(matrix)), matrix
                begin = end
            first = end
        if begin < own.stop:
            yield slice(begin, own.stop), None

    def factors(
        self, eta: Any, lambda_scale: Any, alpha: Tensor, lambda_: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What stands before the gradient and before the decaying θ, each [K, 1 or P]."""
        rate = eta * alpha
        return rate, self.placement.multiplied(lambda_scale * lambda_, eta, rate)

    def passed(self, etas: Sequence[float], present: Sequence[bool]) -> None:
        """Somebody else does these steps of those parameters that have a gradient."""
        steps, self.weighing = len(etas), self.weighings(etas)[-1]
        self.steps = [t + steps * there for t, there in zip(self.steps, present, strict=True)]
        self.meter.passed(steps)

    def weighings(self, etas: Sequence[float]) -> list[Weighing]:
        """Of the next steps, at these multipliers."""
        return [*accumulate(etas, Weighing.after, initial=self.weighing)][1:]

    def corrections(self, t: int, weighing: Weighing) -> tuple[float, ...]:
        """The numbers of step `t` that are the same for all cells; last the step's share."""
        own = self.rule.corrections(t)
        return (*own, weighing.share) if self.rule.averages else own

    def _corrections(self, t: int) -> list[Tensor]:
        """Of step `t`; filled where θ is: a copy from the host would hold up a GPU each time."""
        return [self.theta.new_full((), c) for c in self.corrections(t, self.weighing)]

    def show(self, stepping: bool) -> None:
        """Make θ what steps are of, or what tests are of."""
        if not isinstance(self.rule, ScheduleFreeSGD):
            return
        if stepping and self._stepping is not None:
            self.theta.copy_(self._stepping)
            self._stepping = None
        elif not stepping and self._stepping is None:
            self._stepping = self.theta.clone()
            self.theta.copy_(self.rule.tested(self.theta, self.moments))

    def _columns(self, factors: Sequence[float]) -> Tensor:
        """The number of each parameter of the network in all of its columns, [P]."""
        columns = self.theta.new_empty(self.theta.shape[1])
        for part, factor in zip(columns.split(self.widths), factors, strict=True):
            part.fill_(factor)
        return columns

    def state(self) -> dict[str, Any]:
        """What steps depend on, beside θ, on the CPU."""
        state = {
            "moments": [moment.cpu() for moment in self.moments],
            "steps": self.steps,
            "meter": self.meter.state(),
        }
        return state | ({"weighing": astuple(self.weighing)} if self.rule.averages else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where that was the state."""
        for moment, value in zip(self.moments, state["moments"], strict=True):
            moment.copy_(value)
        self.steps = list(state["steps"])
        self.weighing, self._stepping = Weighing(*state.get("weighing", ())), None
        self.meter.restore(state["meter"])

    def clip(self, g: Tensor) -> list[Tensor]:
        """What shortens each cell's `g`, [K, 1], as torch's clip_grad_norm_; nothing if not asked.

        Apart from the update: the meter counts it.
        """
        if math.isinf(self.clip_norm):
            return []
        return [(self.clip_norm / (g.norm(dim=1, keepdim=True) + SMALL)).clamp(max=1.0)]

    def update(
        self, theta: Tensor, g: Tensor, rate: Tensor, decay: Tensor, *more: Tensor
    ) -> tuple[()]:
        """θ and the moments after one step; all that changes from step to step is a tensor."""
        clips = 0 if math.isinf(self.clip_norm) else 1
        clip, moments = more[:clips], more[clips : clips + self.rule.moments]
        corrections = more[clips + self.rule.moments :]
        whole = slice(0, theta.shape[1])
        self.update_columns(whole, [theta, g, *moments], rate, decay, clip, corrections)
        return ()

    def _update(
        self,
        theta: Tensor,
        g: Tensor,
        rate: Tensor,
        decay: Tensor,
        moments: Sequence[Tensor],
        corrections: Sequence[Tensor],
        matrix: Matrix | None,
    ) -> None:
        """θ and the moments after one step, of columns that are updated at once."""
        if self.placement.in_gradient:
            g = g.addcmul(theta, decay)
        lost = self._lost(g, rate, moments, corrections, matrix)
        decays = not self.placement.in_gradient
        if isinstance(self.rule, ScheduleFreeSGD):
            lost = lost + self._decaying(theta, decay, lost) if decays else lost
            self.rule.move(theta, lost, moments, corrections[-1])
            return
        # θ − decay·θ, not θ·(1 − decay): in float32 the factor would round a small decay away.
        if decays and self.cautious:
            theta.sub_(self._decaying(theta, decay, lost))
        elif decays:
            theta.addcmul_(theta, decay, value=-1)
        theta.sub_(lost)

    def _decaying(self, theta: Tensor, decay: Tensor, lost: Tensor) -> Tensor:
        """What θ loses by decay, where it loses `lost` by the rule."""
        if not self.cautious:
            return theta * decay
        return (theta * decay).masked_fill_(lost.sign() * theta.sign() < 0, 0.0)

    def _lost(
        self,
        g: Tensor,
        rate: Tensor,
        moments: Sequence[Tensor],
        corrections: Sequence[Tensor],
        matrix: Matrix | None,
    ) -> Tensor:
        """What θ loses by the rule."""
        if matrix is None:
            return self.rule.update(g, rate, moments, corrections)
        assert isinstance(self.rule, Muon)
        whole = [one.unflatten(1, matrix) for one in (g, *moments)]
        return self.rule.update_matrices(whole[0], rate[:, :1, None], whole[1:]).flatten(1)
