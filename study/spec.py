"""What the user asks for: Study, Panel and Grid, frozen, validated, to and from TOML.

A study file reads as a person thinks of it:

    name = "my-study"
    task = "digits"
    seeds = 3                                   # or a list: [0, 1, 2]
    schedule = "cosine"                         # for every panel that names none
    lambda = { base = 0.001, log2 = [-5, 4], zero = true }

    [[panel]]
    pair = "sgdw"
    alpha = { base = 1.0, log2 = [0, -10] }     # 1, 1/2, …, 1/1024

    [[panel]]
    pair = "adamw"
    alpha = [0.1, 0.05, 0.025]
"""

from __future__ import annotations

import math
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from study.errors import SpecError, StudyMismatchError
from study.pairs import PAIRS
from study.schedules import SCHEDULES, Cosine, Schedule

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
MAX_EXPONENT = 200  # of two, in a grid: beyond it lie no learning rates
NAME_RULE = "letters, digits, '.', '_', '+' and '-', starting with a letter or digit"


class _Frozen(BaseModel, frozen=True, strict=True, extra="forbid", populate_by_name=True):
    """Base of the parts of a study: immutable, hashable, no unknown keys.

    Strict: "0.1" or true is no number, "yes" no truth value. Tuples are lists in TOML, so
    their fields are not strict; what stands in them is.
    """


class Axis(_Frozen):
    """The values of one hyperparameter, ascending and distinct; 0 stands for "none".

    `base` is the multiplier that figures put into the axis title: ticks are values / base.
    """

    values: tuple[float, ...] = Field(strict=False)
    base: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @classmethod
    def log2(cls, base: float, first: int, last: int, *, zero: bool = False) -> Self:
        """`base`·2^k for every whole k from `first` to `last`, and 0 if `zero`."""
        return cls.model_validate({"base": base, "log2": [first, last], "zero": zero})

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, data: Any) -> Any:
        if isinstance(data, list | tuple):
            return {"values": data}
        if isinstance(data, dict) and "log2" in data:
            return cls._expand(**data)
        if not isinstance(data, dict | cls):
            raise ValueError(
                f"{data!r} is no axis: give a list such as [0.1, 0.05], "
                "or a table such as { base = 0.1, log2 = [0, -10] }"
            )
        return data

    @staticmethod
    def _expand(log2: Any, base: Any = 1.0, zero: Any = False, **unknown: Any) -> dict[str, Any]:
        """The values that `{ base, log2 = [first, last], zero }` stands for."""
        whole = isinstance(log2, list) and len(log2) == 2 and all(type(k) is int for k in log2)
        if not whole or any(abs(k) > MAX_EXPONENT for k in log2):
            raise ValueError(f"log2 = {log2!r} is not a pair of whole exponents such as [0, -10]")
        if isinstance(base, bool) or not isinstance(base, int | float) or not 0 < base < math.inf:
            raise ValueError(f"base = {base!r} is not a positive number")
        if not isinstance(zero, bool):
            raise ValueError(f"zero = {zero!r} is neither true nor false")
        if "values" in unknown:
            raise ValueError("both values and log2: give one of them")
        exponents = range(min(log2), max(log2) + 1)
        try:
            values = [0.0] * zero + [math.ldexp(base, k) for k in exponents]
        except OverflowError as e:
            raise ValueError(f"base = {base!r} with log2 = {log2!r} is beyond any number") from e
        return {"values": values, "base": base, **unknown}

    @field_validator("values")
    @classmethod
    def _distinct_numbers(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values:
            raise ValueError("no values: give at least one")
        for value in values:
            if not 0 <= value < math.inf:
                raise ValueError(f"{value} is not a finite number of 0 or more")
        repeated = sorted({value for value in values if values.count(value) > 1})
        if repeated:
            raise ValueError(f"{', '.join(map(str, repeated))} stands there more than once")
        return tuple(sorted(value + 0.0 for value in values))  # + 0.0 turns -0.0 into 0.0

    @property
    def positive(self) -> tuple[float, ...]:
        """The values without 0."""
        return tuple(value for value in self.values if value > 0)

    def exponents(self) -> tuple[float, ...]:
        """log2(value / base) of every positive value; whole for a grid of powers of two."""
        # Mantissa and exponent apart: value / base itself can overflow.
        mantissa, exponent = math.frexp(self.base)
        parts = (math.frexp(value) for value in self.positive)
        return tuple(math.log2(m / mantissa) + (k - exponent) for m, k in parts)

    def union(self, other: Axis) -> Axis:
        """All values of both, under this axis's base."""
        return Axis(values=tuple({*self.values, *other.values}), base=self.base)

    def to_toml(self) -> dict[str, Any]:
        """As `{ base, log2, zero }` where that gives exactly these values, else as a list."""
        if self.positive:
            first, last = (round(k) for k in (self.exponents()[0], self.exponents()[-1]))
            powers = {"base": self.base, "log2": [first, last], "zero": self.values[0] == 0}
            with suppress(ValidationError):  # exponents out of range, or beyond the largest float
                if Axis.model_validate(powers).values == self.values:
                    return powers
        return {"base": self.base, "values": list(self.values)}


@dataclass(frozen=True, order=True)
class Cell:
    """One (α, λ) of a panel: with a seed, one training run."""

    alpha: float
    lambda_: float


class Grid(_Frozen):
    """The α × λ grid of a panel. α is positive; λ may be 0."""

    alpha: Axis
    lambda_: Axis = Field(alias="lambda")

    @field_validator("alpha")
    @classmethod
    def _positive_alpha(cls, alpha: Axis) -> Axis:
        if 0 in alpha.values:
            raise ValueError("0 is no learning rate: nothing would be trained; leave it out")
        return alpha

    def cells(self) -> tuple[Cell, ...]:
        """Every cell, by ascending α, then ascending λ."""
        return tuple(Cell(a, el) for a in self.alpha.values for el in self.lambda_.values)

    def union(self, other: Grid) -> Grid:
        """The smallest grid that holds the cells of both."""
        return Grid(alpha=self.alpha.union(other.alpha), lambda_=self.lambda_.union(other.lambda_))


class Options(_Frozen):
    """What the update rules need besides α and λ. Defaults are the paper's."""

    momentum: float = Field(default=0.9, ge=0, lt=1)  # β1 of sgd
    beta1: float = Field(default=0.9, ge=0, lt=1)  # of adam
    beta2: float = Field(default=0.999, ge=0, lt=1)  # of adam
    eps: float = Field(default=1e-8, gt=0, allow_inf_nan=False)  # of adam
    decay_1d: bool = True  # whether λ acts on 1-D parameters (biases, norms) too
    precision: Literal["float32", "float64"] = "float32"


def _schedule_by_name(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value
    kind = value.get("kind") if isinstance(value, dict) else value
    if not isinstance(kind, str) or kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}: choose one of {', '.join(SCHEDULES)}")
    return {"kind": kind} if isinstance(value, str) else value


class Panel(_Frozen):
    """One pair × schedule × budget on one grid: becomes one heatmap."""

    name: str = ""  # the pair's name where none is given
    pair: str
    schedule: Annotated[Schedule, BeforeValidator(_schedule_by_name)] = Cosine()
    epochs: int | None = Field(default=None, ge=1)  # None: the task's own budget
    normalized: bool = False  # whether the grid's λ is λ_norm (see pairs.normalizer)
    grid: Grid

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = dict(data)
            if "pair" in data:
                data.setdefault("name", data["pair"])
            axes = {key: data.pop(key) for key in ("alpha", "lambda") if key in data}
            if axes:
                data["grid"] = axes
        return data

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        return _checked_name(name)

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, pair: str) -> str:
        if pair not in PAIRS:
            raise ValueError(f"unknown pair '{pair}': choose one of {', '.join(PAIRS)}")
        return pair

    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on besides α, λ and seed."""
        return self.model_dump(exclude={"name", "grid"})

    def changed(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The panel's fields with some replaced, not yet validated; "alpha", "lambda" too."""
        axes = {"alpha": self.grid.alpha, "lambda": self.grid.lambda_}
        return self.model_dump(exclude={"grid"}) | axes | changes

    def to_toml(self) -> dict[str, Any]:
        """The panel's table in a study file."""
        table = self.model_dump(exclude={"grid"}, exclude_none=True)
        return table | {
            "alpha": self.grid.alpha.to_toml(),
            "lambda": self.grid.lambda_.to_toml(),
        }


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name: use {NAME_RULE}")
    return name


def _seeds_from_count(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} seeds: give at least 1")
        return tuple(range(value))
    return value


_INHERITED = ("schedule", "epochs", "normalized", "alpha", "lambda")


class Study(_Frozen):
    """A name, a task, seeds and one or more panels."""

    name: str
    task: str
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        BeforeValidator(_seeds_from_count),
        PlainSerializer(list),
        Field(strict=False),
    ] = (0,)
    batch_size: int | None = Field(default=None, ge=1)  # None: the task's own
    options: Options = Options()
    panels: tuple[Panel, ...] = Field(alias="panel", strict=False)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Hand the study's schedule, epochs, normalized, alpha and lambda to its panels."""
        if not isinstance(data, dict):
            return data
        shared = {key: data[key] for key in _INHERITED if key in data}
        data = {key: value for key, value in data.items() if key not in shared}
        key = "panels" if "panels" in data else "panel"
        panels = data.get(key)
        if shared and isinstance(panels, list):
            data[key] = [shared | p if isinstance(p, dict) else p for p in panels]
        return data

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        return _checked_name(name)

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(f"{list(seeds)} are not distinct seeds such as [0, 1, 2]")
        return tuple(sorted(seeds))

    @field_validator("panels")
    @classmethod
    def _distinct_panels(cls, panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
        if not panels:
            raise ValueError("no panels: give at least one [[panel]] with its pair")
        names = [panel.name for panel in panels]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{names.count(name)} panels are called '{name}': give each its own name"
                )
        return panels

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> Study:
        """Validate `data`; `where` names its origin in errors.

        Raises:
            SpecError: naming each thing that is wrong.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as e:
            raise SpecError(_explain(e, where)) from e

    @classmethod
    def from_toml(cls, text: str, where: str) -> Study:
        """Read a study from TOML; `where` names its origin in errors.

        Raises:
            SpecError: broken TOML (with its line) or an impossible study.
        """
        return cls.from_dict(parse_toml(text, where), where)

    @classmethod
    def from_file(cls, path: Path) -> Study:
        """Read a study file.

        Raises:
            SpecError: a file that cannot be read, or that holds no valid study.
        """
        return cls.from_dict(read_toml(path), str(path))

    def to_toml(self) -> str:
        """The study as TOML: `from_toml` gives an equal study."""
        table = self.model_dump(exclude={"panels"}, exclude_none=True)
        table["panel"] = [panel.to_toml() for panel in self.panels]
        return tomli_w.dumps(table)

    def panel(self, name: str) -> Panel:
        """The panel called `name`.

        Raises:
            SpecError: there is none.
        """
        for panel in self.panels:
            if panel.name == name:
                return panel
        known = ", ".join(panel.name for panel in self.panels)
        raise SpecError(f"study '{self.name}' has no panel '{name}': it has {known}")

    def change(self, **changes: Any) -> Study:
        """A validated copy with some fields replaced; what panels have, `change_panels` does."""
        unknown = changes.keys() - type(self).model_fields.keys()
        if unknown:
            raise TypeError(f"a study has no {', '.join(sorted(unknown))}")
        return self.from_dict(dict(self) | changes, f"study '{self.name}'")

    def change_panels(self, **changes: Any) -> Study:
        """A validated copy with some fields of every panel replaced."""
        return self.change(panels=[panel.changed(changes) for panel in self.panels])

    def resolve(self, *, batch_size: int, epochs: int) -> Study:
        """Fill what the study leaves to the task: its batch size and budget."""
        panels = [dict(p) | {"epochs": p.epochs or epochs} for p in self.panels]
        return self.change(batch_size=self.batch_size or batch_size, panels=panels)

    def merge(self, asked: Study, where: str) -> Study:
        """This stored study, grown by what `asked` adds: panels, seeds, grid values.

        Panels that both have must agree in all that finished cells depend on; their grids
        become the smallest grid that holds both. `where` names the database in errors.

        Raises:
            StudyMismatchError: `asked` would mix results that do not belong together.
        """
        for field in ("task", "batch_size", "options"):
            self._require_same(field, getattr(self, field), getattr(asked, field), where)
        panels = {panel.name: panel for panel in self.panels}
        for new in asked.panels:
            old = panels.get(new.name)
            if old is not None:
                for field, value in old.settings().items():
                    label = f"panel '{new.name}': {field}"
                    self._require_same(label, value, new.settings()[field], where)
                new = Panel(**(dict(old) | {"grid": old.grid.union(new.grid)}))
            panels[new.name] = new
        seeds = tuple({*self.seeds, *asked.seeds})
        return self.change(panels=tuple(panels.values()), seeds=seeds)

    def _require_same(self, label: str, stored: object, asked: object, where: str) -> None:
        if stored != asked:
            raise StudyMismatchError(
                f"{where}: study '{self.name}' was run with {label} = {_plain(stored)}, "
                f"this asks for {_plain(asked)}: choose another --name, or ask for the same"
            )


def _plain(value: object) -> str:
    """A setting as a user would write it."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_plain(v)}" for k, v in value.items()) + " }"
    return repr(value)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        SpecError: broken TOML, with its line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise SpecError(f"{where}: broken TOML: {e}") from e


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        SpecError: a file that cannot be read, is no text, or is broken TOML (with its line).
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as e:
        raise SpecError(f"{path}: cannot be read ({e.strerror}): name a study file") from e
    except UnicodeDecodeError as e:
        raise SpecError(f"{path}: no text in UTF-8, so no study file: {e.reason}") from e


def parse_axis(text: str, where: str) -> Any:
    """The axis in `text`, written as in a study file: a list or a `{ base, log2 }` table.

    Raises:
        SpecError: it is not TOML; whether it is a valid axis is checked with its panel.
    """
    return parse_toml(f"axis = {text}", where)["axis"]


def _explain(e: ValidationError, where: str) -> str:
    """One line for each thing wrong: where it stands, what is wrong with what was found.

    What is wrong with several panels alike is said once.
    """
    panels: dict[tuple[str, str], list[int]] = {}
    for error in e.errors():
        # 'grid' and 'values' are this module's words: no user wrote them.
        path = [part for part in error["loc"] if part not in ("grid", "values")]
        index = 0
        if path[:1] in (["panel"], ["panels"]) and len(path) > 1:
            index, path = int(path[1]) + 1, path[2:]
        panels.setdefault((_place(path), _message(error)), []).append(index)
    lines = []
    for (place, message), indices in panels.items():
        numbers = ", ".join(map(str, indices))
        panel = "" if indices == [0] else f"panel{'s' * (len(indices) > 1)} {numbers}"
        lines.append(
            ": ".join(filter(None, [where, ", ".join(filter(None, [panel, place])), message]))
        )
    return "\n".join(lines)


def _message(error: ErrorDetails) -> str:
    """What is wrong, and what was found."""
    if error["type"] == "missing":
        return "missing: please give it"
    if error["type"] == "extra_forbidden":
        return "unknown key: remove it or correct its spelling"
    message = error["msg"].removeprefix("Value error, ")
    return message if error["type"] == "value_error" else f"{message}, found {error['input']!r}"


def _place(path: list[str | int]) -> str:
    """('panel', 0, 'alpha') → "panel 1, alpha"."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part).replace("lambda_", "lambda"))
    return ", ".join(words)
