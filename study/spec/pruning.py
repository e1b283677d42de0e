"""What stops trainings before their end: who says that a cell is hopeless, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from landscape_study.study.spec.helper_names import checked_helper, is_own_code
from landscape_study.study.validation import Frozen

HALVING = "halving"
SURFACE = "surface"
PRUNERS = (SURFACE, HALVING, "median", "percentile", "asha", "hyperband", "threshold")
ROUNDS = 6  # in which the cells of a panel are trained, where later ones learn from earlier ones
KEEP = 0.5
AT = (0.125, 0.5)  # of the budget

Share = Annotated[float, Field(gt=0, lt=1)]


class Pruning(Frozen):
    """When a cell is given up as hopeless, and by whom.

    Attributes:
        pruner: one of `PRUNERS`, or the import path of a pruner of Optuna's.
        keep: of `halving`: which share of the cells that are trained together goes on.
        at: of `halving`: after which shares of the budget.
        arguments: of the others: what they are made with.
    """

    pruner: str
    keep: Share = KEEP
    at: tuple[Share, ...] = Field(default=AT, strict=False)
    arguments: Mapping[str, Any] = Field(default_factory=dict)

    def at_once(self, cells: int) -> int:
        """How many cells of a panel's so many to train together, of one seed."""
        return cells if self.pruner == HALVING else -(-cells // ROUNDS)

    @property
    def is_own_code(self) -> bool:
        """Whether the pruner is code that neither this tool nor Optuna brings."""
        return is_own_code(self.pruner, PRUNERS)

    @property
    def _of_others(self) -> tuple[str, ...]:
        """The fields that other pruners take, and this one does not."""
        return ("arguments",) if self.pruner == HALVING else ("keep", "at")

    @field_validator("pruner")
    @classmethod
    def _known_pruner(cls, pruner: str) -> str:
        return checked_helper("pruner", pruner, PRUNERS)

    @field_validator("at")
    @classmethod
    def _ascending(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if not at:
            raise ValueError("give at least one share of the budget, such as [0.5]")
        return tuple(sorted(set(at)))

    @model_validator(mode="after")
    def _asks_for_its_own_fields(self) -> Pruning:
        """Refuse fields that only other pruners take."""
        if others := sorted(self.model_fields_set & {*self._of_others}):
            own = "keep and at" if self.pruner == HALVING else "arguments = { … }"
            raise ValueError(
                f"{', '.join(others)}: the pruner '{self.pruner}' takes none of it, but {own}"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the fields of other pruners."""
        return {name: value for name, value in dump(self).items() if name not in self._of_others}


def _by_name(value: Any) -> Any:
    if not isinstance(value, str | dict | Pruning):
        raise ValueError(
            f'{value!r} says nothing of hopeless cells: write "surface", or '
            '{ pruner = "halving", keep = 0.5 }'
        )
    return {"pruner": value} if isinstance(value, str) else value


Prune = Annotated[Pruning, BeforeValidator(_by_name)]
