"""Panel: one pair × schedule × budget over a design of cells, frozen and validated."""

from __future__ import annotations

import math
import re
from itertools import product
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
from landscape_study.study.pairs.options import OF_RULES, PanelOptions
from landscape_study.study.pairs.registry import Pair, known_pair, label_of, pair_called
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.schedules import SCHEDULES, Cosine, Schedule
from landscape_study.study.spec.cell_numbers import (
    ALPHA,
    BATCH_SIZE,
    LAMBDA,
    NUMBERS,
    OTHERS,
    Own,
    meant,
    number_called,
)
from landscape_study.study.spec.design import (
    FEWEST_VALUES,
    Asked,
    Design,
    Promoted,
    Sampled,
)
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.helper_names import IMPORT_PATH
from landscape_study.study.spec.metric import TAKEN
from landscape_study.study.spec.placeholders import NAMES as PLACES
from landscape_study.study.spec.pruning import Prune
from landscape_study.study.validation import Frozen

# More is a slip: it would be built before anybody could stop it.
MOST_EPOCHS = 1_000_000
MOST_EXAMPLES = 10**9  # of a batch

CELLS = (ALPHA, LAMBDA, "extra_cells")  # keys of its file that say which cells it has

NUMBER_NAME = re.compile(r"[a-z][a-z0-9_]*")  # of a number that an objective knows
RESERVED = {*TAKEN, *PLACES}
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


def numbers_of(rule: str) -> list[str]:
    """The numbers of cells that an update rule of `RULES` makes use of."""
    uses = RULES[rule].uses
    return [name for name in NUMBERS if name not in OF_RULES or name in uses]


def _is_axis(value: Any) -> bool:
    return isinstance(value, list | tuple | dict | Axis) or hasattr(value, "tolist")


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
            data = {k: v for k, v in data.items() if v is not None or k not in OTHERS}
            if "pair" in data:
                is_label = data.get("by_objective") or data.get("design") == "imported"
                data.setdefault("name", data["pair"] if is_label else label_of(data["pair"]))
            axes = {key: data.pop(key) for key in CELLS if key in data}
            known = set(data) - cls.model_fields.keys() if data.get("by_objective") else set()
            others = (key for key in (*OTHERS, *sorted(known.difference(OTHERS))) if key in data)
            axes |= {key: data.pop(key) for key in others if _is_axis(data[key])}
            if axes:
                data["grid"] = axes
            for key in data.keys() - cls.model_fields.keys():
                if _is_axis(data[key]) and (guess := meant(key)):
                    raise ValueError(f"{key}: unknown key: {guess}".rstrip())
            for key in OTHERS:
                if key in data and key != BATCH_SIZE:
                    raise ValueError(
                        f"{key} = {data[key]!r} is no axis: give a list of values, or one number "
                        f"in options = {{ {key} = {data[key]!r} }}"
                    )
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

    @field_validator("grid")
    @classmethod
    def _axes_of_its_training(cls, grid: Grid, info: ValidationInfo) -> Grid:
        """Its other axes are numbers that its rule makes use of, and that nothing else says."""
        pair, options = info.data.get("pair"), info.data.get("options")
        for name, _ in grid.more:
            if name not in NUMBERS and (name in RESERVED or not NUMBER_NAME.fullmatch(name)):
                raise ValueError(f"{name}: a number of a cell cannot be called that")
            said = info.data.get(name) if name == BATCH_SIZE else getattr(options, name, None)
            if said is not None:
                raise ValueError(f"{name} is an axis, and {said:g} elsewhere: leave out one")
            known = known_pair(pair or "")
            rule = known.rule if known is not None else ""
            if name in OF_RULES and rule in RULES and name not in RULES[rule].uses:
                raise ValueError(
                    f"{name}: {rule} has none: its axes may be {', '.join(numbers_of(rule))}"
                )
        return grid

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
            for name in self.grid.names:
                axis = self.grid.axis(name)
                has_zero = number_called(name).scale == "share"
                count = len(axis.values if has_zero else axis.positive)
                if count < FEWEST_VALUES:
                    raise ValueError(
                        f"{name}: {count} {'positive ' * (not has_zero)}value{'s' * (count != 1)},"
                        f" and a verdict needs {FEWEST_VALUES}: give more, or take another design"
                    )
        return self

    @property
    def kinds(self) -> int:
        """How many values the other numbers of the grid's cells have together, 1 without any."""
        return math.prod(len(axis.values) for _, axis in self.grid.more)

    @property
    def owns(self) -> tuple[Own, ...]:
        """The other numbers that its grid's cells have; of α × λ only that there are none."""
        names = [name for name, _ in self.grid.more]
        values = product(*(axis.values for _, axis in self.grid.more))
        return tuple(tuple(zip(names, own, strict=True)) for own in values)

    @property
    def usual_own(self) -> Own:
        """Of its cells' own numbers those of one of them, by which all are judged beforehand."""
        cells = self.grid.alone
        return cells.cell(cells.rows.values[-1], cells.columns.values[-1]).own

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
        own |= self.grid.fixed
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
        """The cells that are known from the beginning, by ascending numbers."""
        if self.sampled:
            return self.grid.extra
        return self.grid.cells() if self.design == "grid" else ()

    def holds(self, cell: Cell) -> bool:
        """Whether a cell may be the panel's: of its grid, or between the ends of its axes."""
        return self.grid.spans(cell) if self.asked else self.grid.has(cell)

    def at_once(self, seeds: int) -> int:
        """How many cells there are to be trained together, with one seed.

        They share all numbers but α and λ.
        """
        known = -(-len(self.cells()) // self.kinds)
        known = self.prune.at_once(known) if self.prune else known
        return max(self.sampled.at_once(seeds), known) if self.sampled else known

    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on besides its own numbers and its seed."""
        found = self.model_dump(
            exclude={"name", "design", "grid", "by_objective", "prune", "source"}
        )
        if self.grid.is_usual:
            return found
        return found | {"axes": " × ".join(self.grid.names)} | self.grid.fixed

    def changed(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The panel's fields with some replaced, not yet validated; `CELLS` too."""
        own = self.model_dump(exclude={"grid"}) | {"by_objective": self.by_objective}
        axes = self.grid.fields()
        if any(name in changes and name not in axes for name in OTHERS):
            axes["extra_cells"] = ()  # of other axes
        return {key: value for key, value in own.items() if key not in axes} | axes | changes

    def grown(self, asked: Panel) -> Panel:
        """This panel with the cells, the design and the pruner of one that is asked for, too.

        On longer axes than it knows of, a sampler may ask for no fewer trials than before: those
        of a study that was extended are more than its file says.
        """
        grid, design = self.grid.union(asked.grid), asked.design
        is_longer = (grid.rows, grid.columns) != (asked.grid.rows, asked.grid.columns)
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
