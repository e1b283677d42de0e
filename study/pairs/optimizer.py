"""The optimizer/regularization pairs: an update rule composed with where λ enters.

Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019),
Algorithms 1 (SGD with momentum) and 2 (Adam).

Shapes: K cells, P parameters of one cell. All state is stacked and flat, [K, P]; α and λ are
columns, [K, 1], so that every cell of a chunk has its own. With g the gradient at
θ_old = θ_{t-1}, t counted from 1, α the learning rate and η_t the schedule multiplier:

    sgd     m = β1·m + η_t·α·g                               θ = θ_old − m − decay
    adam    m = β1·m + (1−β1)·g,  v = β2·v + (1−β2)·g²       θ = θ_old − η_t·α·m̂/(√v̂+ε) − decay

    l2         g ← g + λ·θ_old before the moments;  decay = 0
    decoupled  decay = η_t·λ·θ_old           λ is never multiplied by α (the paper's rule)
    scaled     decay = η_t·α·λ·θ_old         the convention of torch.optim.AdamW

Adding an update rule is adding a class to `RULES`; it gets all three regularizations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from landscape_study.study.spec.study import Options

TensorFunction = Callable[..., Any]  # of tensors, to a tuple of tensors

Where = Literal["l2", "decoupled", "scaled"]


@dataclass(frozen=True)
class Pair:
    """An optimizer/regularization pair: which update rule, and where λ enters."""

    name: str
    rule: str  # key of RULES
    where: Where
    title: str  # how figures name it


class Rule(Protocol):
    """An update rule: turns the gradients of K cells into updates, by moments that it advances.

    Attributes:
        moments: how many tensors [K, P] it keeps; they start from 0.
    """

    moments: int

    def __init__(self, options: Options) -> None: ...

    def corrections(self, t: int) -> tuple[float, ...]:
        """The numbers of step `t` (from 1) that are the same for all cells."""
        ...

    def update(
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        """Advance the moments in place by gradient `g` [K, P]; return what θ loses, [K, P].

        `rate` is η_t·α, [K, 1]; `corrections` are those of the step, each [].
        """
        ...


class SGD:
    """SGD with momentum β1 (Algorithm 1, lines 6 to 9): m = β1·m + η_t·α·g."""

    moments = 1

    def __init__(self, options: Options) -> None:
        self.beta1 = options.momentum

    def corrections(self, t: int) -> tuple[float, ...]:  # noqa: D102
        return ()

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m,) = moments
        return m.mul_(self.beta1).addcmul_(g, rate)


class Adam:
    """Adam (Algorithm 2, lines 6 to 12): η_t·α·m̂/(√v̂ + ε), with bias-corrected moments."""

    moments = 2

    def __init__(self, options: Options) -> None:
        self.beta1, self.beta2, self.eps = options.beta1, options.beta2, options.eps

    def corrections(self, t: int) -> tuple[float, ...]:
        """What m is divided by, and what √v is divided by."""
        return 1 - self.beta1**t, math.sqrt(1 - self.beta2**t)

    def update(  # noqa: D102
        self, g: Tensor, rate: Tensor, moments: Sequence[Tensor], corrections: Sequence[Tensor]
    ) -> Tensor:
        (m, v), (of_m, of_v) = moments, corrections
        m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
        v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        denominator = v.sqrt().div_(of_v).add_(self.eps)
        return (m / denominator).mul_(rate / of_m)


RULES: dict[str, type[Rule]] = {"sgd": SGD, "adam": Adam}

PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        Pair("sgd", "sgd", "l2", "SGD + L2"),
        Pair("sgdw", "sgd", "decoupled", "SGDW"),
        Pair("sgdw-torch", "sgd", "scaled", "SGDW (λ scaled by α)"),
        Pair("adam", "adam", "l2", "Adam + L2"),
        Pair("adamw", "adam", "decoupled", "AdamW"),
        Pair("adamw-torch", "adam", "scaled", "AdamW (torch: λ scaled by α)"),
    )
}

WHERE: dict[Where, str] = {
    "l2": "λ·θ joins the gradient",
    "decoupled": "θ decays by η·λ·θ, never multiplied by α",
    "scaled": "θ decays by η·α·λ·θ, as torch.optim.AdamW",
}


class PairOptimizer:
    """One pair at work on the stacked parameters of a chunk.

    Args:
        pair: what to do.
        theta: parameters [K, P], updated in place by `step`.
        alpha: learning rates [K].
        lambda_: regularization factors [K].
        options: betas, ε, momentum.
        decays: which parameters λ acts on, [P] of 0 and 1; None for all of them, as in the
            authors' code.
        widths: how many of the P each parameter of the network takes; None for one parameter.
        program: turns the update, a function of tensors that works in place, into a faster one.

    Attributes:
        moments: of the rule, each [K, P].
        steps: how many steps each parameter of the network has done.
    """

    def __init__(
        self,
        pair: Pair,
        theta: Tensor,
        alpha: Tensor,
        lambda_: Tensor,
        options: Options,
        decays: Tensor | None = None,
        widths: Sequence[int] | None = None,
        program: Callable[[TensorFunction], TensorFunction] = lambda function: function,
    ) -> None:
        self.where = pair.where
        self.theta = theta
        self.alpha = alpha[:, None]  # [K, 1]
        self.lambda_ = lambda_[:, None] if decays is None else lambda_[:, None] * decays
        self.rule = RULES[pair.rule](options)
        self.moments = [theta.new_zeros(theta.shape) for _ in range(self.rule.moments)]
        self.widths = [theta.shape[1]] if widths is None else list(widths)
        self.steps = [0] * len(self.widths)
        self._run = program(self._update)

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
        moved = [True] * len(self.widths) if present is None else present
        self.steps = [t + there for t, there in zip(self.steps, moved, strict=True)]
        rate = eta * self.alpha
        decay = lambda_scale * self.lambda_
        if self.where != "l2":
            decay = decay * (eta if self.where == "decoupled" else rate)
        if all(moved) and len(set(self.steps)) == 1:
            self._run(self.theta, g, rate, decay, *self.moments, *self._corrections(self.steps[0]))
            return
        first = 0
        for width, t, there in zip(self.widths, self.steps, moved, strict=True):
            own = slice(first, first + width)
            if there:
                theta, slope, *moments = (x[:, own] for x in (self.theta, g, *self.moments))
                some = decay if decay.shape[1] == 1 else decay[:, own]
                self._update(theta, slope, rate, some, *moments, *self._corrections(t))
            first += width

    def _corrections(self, t: int) -> list[Tensor]:
        """Of step `t`; filled where θ is: a copy from the host would hold up a GPU each time."""
        return [self.theta.new_full((), c) for c in self.rule.corrections(t)]

    def state(self) -> dict[str, Any]:
        """What steps depend on, beside θ, on the CPU."""
        return {"moments": [moment.cpu() for moment in self.moments], "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where that was the state."""
        for moment, value in zip(self.moments, state["moments"], strict=True):
            moment.copy_(value)
        self.steps = list(state["steps"])

    def _update(
        self, theta: Tensor, g: Tensor, rate: Tensor, decay: Tensor, *more: Tensor
    ) -> tuple[()]:
        """θ and the moments after one step; all that changes from step to step is a tensor."""
        moments, corrections = more[: self.rule.moments], more[self.rule.moments :]
        if self.where == "l2":
            g = g.addcmul(theta, decay)
        else:
            # θ − decay·θ, not θ·(1 − decay): in float32 the factor would round a small decay away.
            theta.addcmul_(theta, decay, value=-1)
        theta.sub_(self.rule.update(g, rate, moments, corrections))
        return ()


def normalizer(batch_size: int, examples: int, epochs: float) -> float:
    """The factor from λ_norm to λ: √(b/(B·T)), paper section 3 (normalized weight decay).

    b = `batch_size`, B = `examples` in the training set, T = `epochs` of the current cycle.
    """
    return math.sqrt(batch_size / (examples * epochs))
