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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch

    from study.spec import Options

Where = Literal["l2", "decoupled", "scaled"]


@dataclass(frozen=True)
class Pair:
    """An optimizer/regularization pair: which update rule, and where λ enters."""

    name: str
    rule: str  # key of RULES
    where: Where
    title: str  # how figures name it


class Rule(Protocol):
    """An update rule: holds the moments of K cells and turns gradients into updates."""

    def __init__(self, theta: torch.Tensor, options: Options) -> None: ...

    def update(self, g: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
        """Advance the moments by gradient `g` [K, P]; return what θ loses, [K, P].

        `rate` is η_t·α, [K, 1].
        """
        ...


class SGD:
    """SGD with momentum β1 (Algorithm 1, lines 6 to 9): m = β1·m + η_t·α·g."""

    def __init__(self, theta: torch.Tensor, options: Options) -> None:
        self.beta1 = options.momentum
        self.m = theta.new_zeros(theta.shape)

    def update(self, g: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.m.mul_(self.beta1).addcmul_(g, rate)


class Adam:
    """Adam (Algorithm 2, lines 6 to 12): η_t·α·m̂/(√v̂ + ε), with bias-corrected moments."""

    def __init__(self, theta: torch.Tensor, options: Options) -> None:
        self.beta1, self.beta2, self.eps = options.beta1, options.beta2, options.eps
        self.m = theta.new_zeros(theta.shape)
        self.v = theta.new_zeros(theta.shape)
        self.t = 0

    def update(self, g: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:  # noqa: D102
        self.t += 1
        self.m.mul_(self.beta1).add_(g, alpha=1 - self.beta1)
        self.v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        denominator = self.v.sqrt().div_(math.sqrt(1 - self.beta2**self.t)).add_(self.eps)
        return (self.m / denominator).mul_(rate / (1 - self.beta1**self.t))


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
    """

    def __init__(
        self,
        pair: Pair,
        theta: torch.Tensor,
        alpha: torch.Tensor,
        lambda_: torch.Tensor,
        options: Options,
        decays: torch.Tensor | None = None,
    ) -> None:
        self.where = pair.where
        self.theta = theta
        self.alpha = alpha[:, None]  # [K, 1]
        self.lambda_ = lambda_[:, None] if decays is None else lambda_[:, None] * decays
        self.rule = RULES[pair.rule](theta, options)

    def step(self, g: torch.Tensor, eta: float, lambda_scale: float = 1.0) -> None:
        """One step from gradient `g` [K, P] (overwritten) at schedule multiplier `eta`.

        `lambda_scale` turns a normalized λ into the λ of this step (see `normalizer`).
        """
        rate = eta * self.alpha
        if self.where == "l2":
            g.addcmul_(self.theta, self.lambda_, value=lambda_scale)
            self.theta.sub_(self.rule.update(g, rate))
            return
        strength = eta if self.where == "decoupled" else rate
        decay = strength * lambda_scale * self.lambda_
        # θ − decay·θ, not θ·(1 − decay): in float32 the factor would round a small decay away.
        self.theta.addcmul_(self.theta, decay, value=-1)
        self.theta.sub_(self.rule.update(g, rate))


def normalizer(batch_size: int, examples: int, epochs: float) -> float:
    """The factor from λ_norm to λ: √(b/(B·T)), paper section 3 (normalized weight decay).

    b = `batch_size`, B = `examples` in the training set, T = `epochs` of the current cycle.
    """
    return math.sqrt(batch_size / (examples * epochs))
