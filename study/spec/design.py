"""Designs: which cells a panel has: all of its grid, or those that are asked for one by one.

A sampler asks for them, or they are the best ones of another panel, mostly of a cheaper budget.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from landscape_study.study.spec.helper_names import checked_helper, is_own_code
from landscape_study.study.validation import Frozen

MOST_TRIALS = 1_000_000  # more is a slip
VERDICT = "verdict"
SAMPLERS = ("random", "qmc", "tpe", "gp", "cmaes", VERDICT)
ROUNDS = 12  # in which a sampler is asked for its trials, if one worker asks
LEVEL = 95.0  # percent: at which a verdict stands, if nobody says
FIRST = 16  # trainings with which the sampler `verdict` begins, before it looks at anything
FEWEST_VALUES = 3  # of α, and of positive λ: of fewer there is no verdict
SHARE = 0.33  # of the cells of a panel that are promoted to the next budget, if nobody says
FEWEST_PROMOTED = 8  # cells, where there are so many: fewer show no landscape


class Sampled(Frozen):
    """The cells that a sampler asks for, between the ends of the panel's axes.

    Attributes:
        sampler: one of `SAMPLERS`, or the import path of a sampler of Optuna's.
        trials: trainings that it may ask for, each seed of a cell one; those of an earlier grid
            do not count.
        zero: share of its cells whose λ is 0, where the axis of λ has 0.
        seed: of the sampler.
        until: percent; at which level the verdict must stand for it to stop asking before.
    """

    sampler: str
    trials: int = Field(ge=1, le=MOST_TRIALS)
    zero: float = Field(default=0.1, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    until: float | None = Field(default=None, ge=50, lt=100)

    @property
    def is_own_code(self) -> bool:
        """Whether its sampler is code that neither this tool nor Optuna brings."""
        return is_own_code(self.sampler, SAMPLERS)

    @property
    def asks_as(self) -> dict[str, object]:
        """What must stay as it is where its panel goes on: all but how many, and until when."""
        return {"sampler": self.sampler, "zero": self.zero, "seed": self.seed}

    @property
    def keeps_to_grid(self) -> bool:
        """Whether it asks for cells of the grid of the axes only, not for any between them."""
        return self.sampler == VERDICT

    def at_once(self, seeds: int) -> int:
        """How many cells, of one seed, to ask for at once: of all at once nothing is learned.

        Optuna's samplers ask for each cell under every seed.
        """
        trainings = 1 if self.sampler == VERDICT else seeds
        return -(-self.trials // (ROUNDS * trainings))

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, sampler: str) -> str:
        return checked_helper("sampler", sampler, SAMPLERS)

    @model_validator(mode="after")
    def _enough_to_begin_with(self) -> Sampled:
        if self.sampler == VERDICT and self.trials < FIRST:
            raise ValueError(
                f"trials = {self.trials}: the sampler '{VERDICT}' begins with {FIRST} trainings, "
                "and more are needed to tell: give more"
            )
        return self

    @model_validator(mode="after")
    def _stops_at_a_verdict(self) -> Sampled:
        if self.until is not None and self.sampler != VERDICT:
            raise ValueError(
                f"until = {self.until:g}: the sampler '{self.sampler}' asks for all of its "
                f"trials; leave it out, or take the sampler '{VERDICT}'"
            )
        return self


class Promoted(Frozen):
    """The best cells of another panel, once that is finished: successive halving over budgets.

    Best by the mean over the finished seeds; cells of which a seed diverged or was pruned come
    last, those of which no seed ended well are left out. Each is trained with every seed of the
    study. Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization" (2016).

    Attributes:
        best_of: the other panel's name.
        share: of its cells; never fewer than `FEWEST_PROMOTED`, where it has so many.
    """

    best_of: str
    share: float = Field(default=SHARE, gt=0, le=1)

    @property
    def asks_as(self) -> dict[str, object]:
        """What must stay as it is where its panel goes on: all but how many."""
        return {"best_of": self.best_of}

    def chosen(self, cells: int) -> int:
        """How many of so many cells are promoted."""
        # Rounded: 0.07 of 100 cells are 7, though 0.07 · 100 lies a hair above.
        return min(max(math.ceil(round(self.share * cells, 6)), FEWEST_PROMOTED), cells)


def _by_name(value: Any) -> Any:
    """Refuse what is neither a name nor a table, before pydantic says so once for each kind."""
    if isinstance(value, dict):
        kind = Promoted if "best_of" in value else Sampled
        return kind.model_validate(value)
    if not isinstance(value, BaseModel) and value not in ("grid", "imported"):
        raise ValueError(
            f'{value!r} is no design: write "grid", {{ sampler = "tpe", trials = 60 }}, or '
            '{ best_of = "PANEL" }'
        )
    return value


Asked = Sampled | Promoted  # designs whose cells are asked for one after the other
Design = Annotated[Literal["grid", "imported"] | Asked, BeforeValidator(_by_name)]
