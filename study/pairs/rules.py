"""Update rules: what an optimizer makes of gradients, apart from where λ enters.

Shapes: K cells, P parameters of one cell. All state is stacked and flat, [K, P]; α and λ are
columns, [K, 1], so that every cell of a chunk has its own. With g the gradient at
θ_old = θ_{t-1}, t counted from 1, α the learning rate and η_t the schedule multiplier, a rule says
what θ loses: θ = θ_old − update − decay.

Adding a rule is adding a class to `RULES`; it gets every placement of λ (`pairs.placements`). So
does one of the user's own, a class in a file of theirs (`pairs.own_rules`).
"""

from __future__ import annotations

from landscape_study.study.pairs.adaptive_rules import (
    Adagrad,
    Adam,
    AMSGrad,
    NAdam,
    RAdam,
    RMSprop,
)
from landscape_study.study.pairs.averaged_rules import ScheduleFreeAdam, ScheduleFreeSGD
from landscape_study.study.pairs.matrix_rules import Muon
from landscape_study.study.pairs.momentum_rules import SGD, Lion, Nesterov
from landscape_study.study.pairs.own_rules import load_rule
from landscape_study.study.pairs.rule import Rule

RULES: dict[str, type[Rule]] = {
    "sgd": SGD,
    "nesterov": Nesterov,
    "adam": Adam,
    "amsgrad": AMSGrad,
    "nadam": NAdam,
    "radam": RAdam,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "lion": Lion,
    "muon": Muon,
    "schedulefree-sgd": ScheduleFreeSGD,
    "schedulefree-adam": ScheduleFreeAdam,
}


def rule_called(name: str) -> type[Rule]:
    """The update rule of that name: a key of `RULES`, or the code of a user's own.

    Raises:
        PairError: that cannot be loaded, or is no rule.
    """
    return RULES[name] if name in RULES else load_rule(name)
