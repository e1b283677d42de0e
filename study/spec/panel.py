"""Panel: one pair × schedule × budget over a design of cells, frozen and validated."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from landscape_study.study.pairs.optimizer_arguments import wrong_with_table
from landscape_study.study.pairs.options import PanelOptions
from landscape_study.study.pairs.registry import Pair, known_pair, label_of, pair_called
from landscape_study.study.pairs.schedules import SCHEDULES, Cosine, Schedule
from landscape_study.study.spec.design import (
    FEWEST_VALUES,
    Asked,
    Design,
    Promoted,
    Sampled,
)
from landscape_study.study.spec.grid import Cell, Grid
from landscape_study.study.spec.helper_names import IMPORT_PATH
from landscape_study.study.spec.pruning import Prune
from landscape_study.study.validation import Frozen

# More is a slip: it would be built before anybody could stop it.
MOST_EPOCHS = 1_000_000
MOST_EXAMPLES = 10**9  # of a batch

CELLS = ("alpha", "lambda", "extra_cells")  # keys of its file that say which cells it has

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
NAME_RULE = "letters, digits, '.', '_', '+' and '-', starting with a letter or digit"


def _checked_name(name: str) -> str:
    """The name, if it is one.

    Raises:
        ValueError: it is none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name: use {NAME_RULE}")
    return name


Name = Annotated[str, AfterValidator(_checked_name)]


def _schedule_by_name(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value
    kind = value.get("kind") if isinstance(value, dict) else value
    if not isinstance(kind, str) or kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}: choose one of {', '.join(SCHEDULES)}")
    if value == "restarts":
        raise ValueError('restarts need t_0: write { kind = "restarts", t_0 = 10 }')
    return {"kind": kind} if isinstance(value, str) else value


def _simple_arguments(table: dict[str, Any]) -> dict[str, Any]:
    if wrong := wrong_with_table(table):
        raise ValueError(wrong)
    return table


Arguments = Annotated[dict[str, Any], AfterValidator(_simple_arguments)]


class Panel(Frozen):
    """One pair × schedule × budget over a design of cells: becomes one heatmap."""

    name: Name = ""  # the pair's name where none is given
    by_objective: bool = Field(default=False, exclude=True)  # of a study that has one
    design: Design = "grid"  # which cells of the grid, or within its axes
    pair: str
    optimizer: Arguments | None = None  # of a pair that is one such as torch's
    source: str | None = None  # digest of the pair's code, where that is the user's own
    schedule: Annotated[Schedule, BeforeValidator(_schedule_by_name)] = Cosine()
    epochs: int | None = Field(default=None, ge=1, le=MOST_EPOCHS)  # None: the task's own budget
    batch_size: int | None = Field(default=None, ge=1, le=MOST_EXAMPLES)  # None: the study's
    options: PanelOptions | None = None  # what is other than the study's
    normalized: bool = False  # whether the grid's λ is λ_norm (see pairs.normalization)
    prune: Prune | None = None  # what stops hopeless cells before their end; None: nothing
    grid: Grid

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = dict(data)
            if "pair" in data:
                is_label = data.get("by_objective") or data.get("design") == "imported"
                data.setdefault("name", data["pair"] if is_label else label_of(data["pair"]))
            axes = {key: data.pop(key) for key in CELLS if key in data}
            if axes:
                data["grid"] = axes
        return data

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, pair: str, info: ValidationInfo) -> str:
        is_label = info.data.get("by_objective") or info.data.get("design") == "imported"
        if is_label:
            return pair
        if ":" not in pair and IMPORT_PATH.fullmatch(pair):
            where, _, name = pair.rpartition(".")
            raise ValueError(f"unknown pair '{pair}': an optimizer is named as {where}:{name}")
        return pair_called(pair).name

    @field_validator("optimizer")
    @classmethod
    def _arguments_of_an_optimizer(cls, table: Any, info: ValidationInfo) -> Any:
        pair = known_pair(info.data.get("pair", ""))
        if table is not None and not (pair is not None and pair.is_optimizer):
            raise ValueError(
                "these are arguments of an optimizer such as torch.optim:NAdam, and the pair is "
                "none: leave them out, or say in options what the pair shall have"
            )
        return table

    @field_validator("epochs")
    @classmethod
    def _room_for_schedule(cls, epochs: int | None, info: ValidationInfo) -> int | None:
        schedule = info.data.get("schedule")
        if epochs is not None and schedule and (wrong := schedule.wrong_with(epochs)):
            raise ValueError(wrong)
        return epochs

    @field_validator("grid")
    @classmethod
    def _each_cell_once(cls, grid: Grid, info: ValidationInfo) -> Grid:
        return grid.without_repeats() if info.data.get("design") == "grid" else grid

    @field_validator("normalized")
    @classmethod
    def _normalized_by_a_schedule(cls, normalized: bool, info: ValidationInfo) -> bool:
        """λ_norm is that of a whole run: its steps share it as the schedule says."""
        known = known_pair(info.data.get("pair", ""))
        if normalized and known is not None and known.placement == "unscheduled":
            raise ValueError(
                f"λ of pair '{known.name}' follows no schedule, and λ_norm is meant for one that "
                "does: leave it out, or take another pair"
            )
        return normalized

    @model_validator(mode="after")
    def _can_have_a_verdict(self) -> Panel:
        """Nobody pays for trainings that cannot tell."""
        if self.sampled is not None and self.sampled.keeps_to_grid:
            for name, axis in (("alpha", self.grid.alpha), ("lambda", self.grid.lambda_)):
                if (count := len(axis.positive)) < FEWEST_VALUES:
                    raise ValueError(
                        f"{name}: {count} positive value{'s' * (count != 1)}, and a verdict needs "
                        f"{FEWEST_VALUES}: give more, or take another design"
                    )
        return self

    @property
    def is_imported(self) -> bool:
        """Whether it was trained elsewhere."""
        return self.design == "imported"

    @property
    def is_labelled(self) -> bool:
        """Whether its pair is a label of the user's, and schedule and budget are unknown here."""
        return self.by_objective or self.is_imported

    @property
    def own_code(self) -> Pair | None:
        """Its pair, where code that is named by its place makes the steps; else None."""
        pair = None if self.is_labelled else pair_called(self.pair)
        return pair if pair is not None and pair.is_own else None

    @property
    def own_numbers(self) -> list[str]:
        """What it has other than its study, as people read it: "batch_size = 64"."""
        own: dict[str, Any] = {"batch_size": self.batch_size, **(self.optimizer or {})}
        own |= {} if self.options is None else self.options.model_dump()
        return [f"{name} = {value}" for name, value in own.items() if value is not None]

    @property
    def sampled(self) -> Sampled | None:
        """How its cells are asked for, one after the other; None where its grid says which."""
        return self.design if isinstance(self.design, Sampled) else None

    @property
    def promoted(self) -> Promoted | None:
        """Whose best cells it has; None where it does not wait for another panel."""
        return self.design if isinstance(self.design, Promoted) else None

    @property
    def asked(self) -> Asked | None:
        """Its design where cells are asked for one after the other; None where all are known."""
        return None if isinstance(self.design, str) else self.design

    def cells(self) -> tuple[Cell, ...]:
        """The cells that are known from the beginning, by ascending α, then ascending λ."""
        if self.sampled:
            return self.grid.extra
        return self.grid.cells() if self.design == "grid" else ()

    def holds(self, cell: Cell) -> bool:
        """Whether a cell may be the panel's: of its grid, or between the ends of its axes."""
        return self.grid.spans(cell) if self.asked else self.grid.has(cell)

    def at_once(self, seeds: int) -> int:
        """How many cells there are to be trained together, with one seed."""
        known = len(self.cells())
        known = self.prune.at_once(known) if self.prune else known
        return max(self.sampled.at_once(seeds), known) if self.sampled else known

    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on besides α, λ and seed."""
        return self.model_dump(
            exclude={"name", "design", "grid", "by_objective", "prune", "source"}
        )

    def changed(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The panel's fields with some replaced, not yet validated; `CELLS` too."""
        axes = (self.grid.alpha, self.grid.lambda_, self.grid.extra)
        own = self.model_dump(exclude={"grid"}) | {"by_objective": self.by_objective}
        return own | dict(zip(CELLS, axes, strict=True)) | changes

    def grown(self, asked: Panel) -> Panel:
        """This panel with the cells, the design and the pruner of one that is asked for, too.

        On longer axes than it knows of, a sampler may ask for no fewer trials than before: those
        of a study that was extended are more than its file says.
        """
        grid, design = self.grid.union(asked.grid), asked.design
        is_longer = (grid.alpha, grid.lambda_) != (asked.grid.alpha, asked.grid.lambda_)
        if self.sampled and asked.sampled and is_longer:
            most = max(self.sampled.trials, asked.sampled.trials)
            design = asked.sampled.model_copy(update={"trials": most})
        new = {"grid": grid, "design": design, "prune": asked.prune}
        return Panel(**(dict(self) | new | {"source": asked.source or self.source}))

    def to_toml(self) -> dict[str, Any]:
        """The panel's table in a study file; a design that is a whole grid goes without saying."""
        whole = {"design"} if self.design == "grid" else set()
        unknown = {"schedule", "normalized"} if self.is_labelled else set()
        table = self.model_dump(exclude={"grid"} | whole | unknown, exclude_none=True)
        return table | self.grid.to_toml()
