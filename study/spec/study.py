"""What the user asks for: Study and Panel, frozen, validated, to and from TOML.

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

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

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

from landscape_study.study.errors import SpecError, StudyMismatchError
from landscape_study.study.pairs.averaged_rules import ScheduleFreeSGD
from landscape_study.study.pairs.options import OF_RULES, Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.rule import Rule
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.pairs.schedules import Cosine
from landscape_study.study.spec.budgets import (
    most_cells,
    numbers_as_written,
    on_one_grid,
    one_per_budget,
    wrong_with_promotion,
)
from landscape_study.study.spec.cell_numbers import BATCH_SIZE, OTHERS, Own
from landscape_study.study.spec.figure_kinds import FigureKind, Over
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.metric import TAKEN, TEST_ERROR, Metric, completed, filled, written
from landscape_study.study.spec.panel import MOST_EXAMPLES, Name, Panel
from landscape_study.study.spec.placeholders import wrong_with
from landscape_study.study.spec.pruning import HALVING
from landscape_study.study.spec.shell_words import shell_words
from landscape_study.study.validation import Frozen, explain, parse_toml, read_toml

__all__ = ["Axis", "Cell", "Grid", "Panel", "Study"]

# What is more than this is a slip: it would be built before anybody could stop it.
MOST_SEEDS = 10_000
MOST_CELLS = 1_000_000  # of a study, each with each seed

IMPORTED = "imported"  # the task of studies that were trained elsewhere
COMMAND = "command"  # of those that run a command of the user's own
FUNCTION = "function"  # the pair of those that call a function, where none is named


class Figure(Frozen):
    """How the study is drawn where the command line says nothing else."""

    kind: FigureKind = "heatmaps"
    columns: int | None = Field(default=None, ge=1)  # axes in a row; None: by their number
    metrics: tuple[str, ...] = Field(default=("test_error",), strict=False)  # of anytime curves
    relative: bool = False  # whether the colours of each heatmap begin at its own best error
    over: Over = "lambda"  # what heatmaps have to the right, where that is known

    @field_validator("metrics")
    @classmethod
    def _distinct_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if not metrics or len(set(metrics)) < len(metrics):
            raise ValueError(
                f"{list(metrics)}: give names of metrics that are recorded, such as test_loss, "
                "each once"
            )
        return metrics


def _told_of_objective(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a study whose panels know whether an objective trains their cells."""
    by_command = data.get("command") is not None
    by_objective = by_command or data.get("function") is True
    if by_objective and data.get("metric") is None:
        raise ValueError('no metric: say what is measured, as in metric = "val_loss"')
    if by_command:
        data = data | {"task": COMMAND}
    key = "panels" if "panels" in data else "panel"
    if by_objective:
        data = {key: [{"pair": COMMAND if by_command else FUNCTION}]} | data
    panels, mark = data.get(key), {"by_objective": by_objective}
    if not isinstance(panels, list | tuple):
        return data
    told = [
        p | mark
        if isinstance(p, dict)
        else p.changed(mark)
        if isinstance(p, Panel) and p.by_objective != by_objective
        else p
        for p in panels
    ]
    return data | {key: told}


def _seeds_from_count(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} seeds: give at least 1")
        if value > MOST_SEEDS:
            raise ValueError(f"more seeds than {MOST_SEEDS}: give fewer")
        return tuple(range(value))
    return value


def _panels_of(data: dict[str, Any]) -> tuple[str, list[Any] | None]:
    """The key of a study's panels, and each with what the study says of all; None: no list."""
    key = "panels" if "panels" in data else "panel"
    shared, panels = {name: data[name] for name in _INHERITED if name in data}, data.get(key)
    if not isinstance(panels, list):
        return key, None
    return key, [shared | panel if isinstance(panel, dict) else panel for panel in panels]


def _panel_numbers(data: dict[str, Any]) -> list[int]:
    """As which of the panels in its file each panel of a study counts, from 1; [] if unknown."""
    with suppress(ValueError):  # budgets that are none: that is told
        return numbers_as_written(_panels_of(data)[1] or [])
    return []


_PAIR = re.compile(r"^    \[\n +([\d.e+-]+),\n +([\d.e+-]+),\n    \]", re.MULTILINE)  # of numbers
_OF_TRAINING = ("options", "figure")  # what is not known of what was trained elsewhere
_OF_CELLS = ("alpha", "lambda", *(name for name in OTHERS if name != BATCH_SIZE))
_INHERITED = ("schedule", "epochs", "normalized", "design", "prune", *_OF_CELLS)


class Study(Frozen):
    """A name, a task, seeds and one or more panels."""

    name: Name
    task: str
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        BeforeValidator(_seeds_from_count),
        PlainSerializer(list),
        Field(strict=False),
    ] = (0,)
    batch_size: int | None = Field(default=None, ge=1, le=MOST_EXAMPLES)  # None: the task's own
    metric: Annotated[  # the value of a cell
        Metric, BeforeValidator(filled), PlainSerializer(written)
    ] = TEST_ERROR
    function: bool = False  # whether the task is an objective: a function that trains one cell
    command: tuple[str, ...] | None = Field(default=None, strict=False)  # that trains one cell
    pattern: str | None = None  # finds the metric in what the command prints, as its first group
    options: Options = Options()
    figure: Figure = Figure()
    panels: tuple[Panel, ...] = Field(alias="panel", strict=False)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Hand what the study says of all panels to those that say nothing themselves."""
        if not isinstance(data, dict):
            return data
        data = _told_of_objective(data)
        key, panels = _panels_of(data)
        data = {name: value for name, value in data.items() if name not in _INHERITED}
        if "error" in data and "metric" not in data:  # its name in former versions
            data["metric"] = data.pop("error")
        if panels is not None:
            data[key] = one_per_budget(panels)
        return data

    @field_validator("command", mode="before")
    @classmethod
    def _separate_words(cls, command: Any) -> Any:
        if isinstance(command, str):
            raise ValueError(
                f"no shell takes {command!r} apart: write its words, as in "
                '["python", "train.py", "--lr", "{alpha}", "--wd", "{lambda}"]'
            )
        return command

    @field_validator("pattern")
    @classmethod
    def _compiled(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as e:
                raise ValueError(f"'{pattern}' is no regular expression: {e}") from e
            if groups != 1:
                raise ValueError(
                    f"'{pattern}' has {groups} groups: put the number in one, as in 'loss=(\\S+)'"
                )
        return pattern

    @field_validator("task")
    @classmethod
    def _plain_task(cls, task: str) -> str:
        if not task.isprintable():
            raise ValueError(f"{task!r} names no task: it holds unprintable characters")
        return task

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

    @field_validator("panels")
    @classmethod
    def _promoted_from_others(cls, panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
        if wrong := wrong_with_promotion(panels):
            raise ValueError(wrong)
        return on_one_grid(panels)

    @model_validator(mode="after")
    def _trained_here_or_elsewhere(self) -> Study:
        if any(panel.is_imported != self.is_imported for panel in self.panels):
            raise ValueError(
                f'the task "{IMPORTED}" and the design "imported" go together: they are those of '
                "results that `landscape import` took over"
            )
        return self

    @model_validator(mode="after")
    def _runnable(self) -> Study:
        axes = dict.fromkeys(name for panel in self.panels for name in panel.grid.names)
        if self.command is not None and (wrong := wrong_with(self.command, [*axes])):
            raise ValueError(f"command: {wrong}")
        return self

    @model_validator(mode="after")
    def _function_by_name(self) -> Study:
        if self.function and (":" not in self.task or self.command is not None):
            raise ValueError(
                f"'{self.task}' is no function of yours: name it as task = "
                '"package.module:name" or "FILE.py:name"'
            )
        return self

    @model_validator(mode="after")
    def _pattern_of_a_command(self) -> Study:
        if self.pattern is not None and self.command is None:
            raise ValueError(
                "pattern: it finds the metric in what a command prints, and there is no command: "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _metric_has_a_column(self) -> Study:
        if self.metric.name in TAKEN and not self.is_imported:
            raise ValueError(
                f"metric: '{self.metric.name}' is another column of all tables: give what is "
                f"measured another name, as {self.metric.name}_measured"
            )
        return self

    @model_validator(mode="after")
    def _objective_decides_itself(self) -> Study:
        """Nothing is asked of an objective that it would never hear of."""
        asked = {
            "batch_size": self.batch_size or any(panel.batch_size for panel in self.panels),
            "options": self.options != Options() or any(panel.options for panel in self.panels),
            "epochs": any(panel.epochs is not None for panel in self.panels),
            "schedule": any(panel.schedule != Cosine() for panel in self.panels),
            "normalized": any(panel.normalized for panel in self.panels),
        }
        found = [name for name, is_asked in asked.items() if is_asked]
        if self.has_objective and found:
            kind = FUNCTION if self.function else COMMAND
            raise ValueError(
                f"{', '.join(found)}: the {kind} decides that itself: leave it out, or put it "
                f"into the {kind}"
            )
        return self

    @model_validator(mode="after")
    def _optimizers_take_their_own_options(self) -> Study:
        """Nothing is asked of an optimizer such as torch's that it would never hear of."""
        for panel in self.panels:
            if panel.own_code is None or not panel.own_code.is_optimizer:
                continue
            asked, plain = self.options_of(panel), Options()
            unheard = [one for one in OF_RULES if getattr(asked, one) != getattr(plain, one)]
            if unheard:
                what = "axis" if unheard[0] in panel.grid.names else "options"
                raise ValueError(
                    f"panel '{panel.name}': {what} {', '.join(unheard)}: {panel.pair} does not "
                    "hear of them: say it as it does itself, as in optimizer = "
                    "{ betas = [0.9, 0.95] }, and give other panels options of their own"
                )
        return self

    @model_validator(mode="after")
    def _means_that_can_be_told(self) -> Study:
        """Without momentum, what a rule keeps would not tell the mean that is tested."""
        for panel in (one for one in self.panels if not one.is_labelled):
            rule = RULES.get(pair_called(panel.pair).rule, Rule)
            if issubclass(rule, ScheduleFreeSGD) and not all(
                getattr(self.options_of(panel, own), rule.mean_by) for own in panel.owns
            ):
                raise ValueError(
                    f"panel '{panel.name}': pair '{panel.pair}' needs {rule.mean_by} above 0, "
                    "by which it averages: give some, or take another pair"
                )
        return self

    @model_validator(mode="after")
    def _not_too_many_cells(self) -> Study:
        seeds = len(self.seeds)
        cells = sum(
            seeds * len(panel.grid.extra) + panel.sampled.trials
            if panel.sampled
            else seeds * self._most_cells(panel)  # unbuilt
            for panel in self.panels
            if not panel.is_imported
        )
        if cells > MOST_CELLS:
            raise ValueError(f"{cells} cells are more than {MOST_CELLS}: make several studies")
        return self

    @model_validator(mode="after")
    def _pruned_where_it_can_be(self) -> Study:
        for panel in self.panels:
            pruner = panel.prune and panel.prune.pruner
            if pruner == HALVING and self.has_objective:
                raise ValueError(
                    "prune: halving compares cells that are trained together, and an objective "
                    "trains one at a time: choose surface, or a pruner of Optuna's"
                )
            if pruner and self.is_imported:
                raise ValueError("prune: it was trained elsewhere: leave it out")
        return self

    @property
    def is_imported(self) -> bool:
        """Whether it was trained elsewhere, so that nothing of it can be trained here."""
        return self.task == IMPORTED

    @property
    def has_objective(self) -> bool:
        """Whether a command or function of the user's own trains its cells, one by one."""
        return self.function or self.command is not None

    @property
    def own_helpers(self) -> tuple[str, ...]:
        """Its samplers, pruners, rules and optimizers that come neither with this tool nor Optuna.

        Each as it is imported: package.module:Name or FILE.py:Name.
        """
        sampled = (panel.sampled for panel in self.panels)
        found = [one.sampler for one in sampled if one and one.is_own_code]
        prunes = (panel.prune for panel in self.panels)
        found += [one.pruner for one in prunes if one and one.is_own_code]
        pairs = (panel.own_code for panel in self.panels)
        found += [pair.rule for pair in pairs if pair and not pair.is_trusted]
        return tuple(dict.fromkeys(found))

    @property
    def names_metric(self) -> bool:
        """Whether it says what is measured; else the task does (see `resolve`)."""
        return "metric" in self.model_fields_set

    @property
    def is_handed_over(self) -> bool:
        """Whether its function was handed over in Python, so that no command can name it."""
        return self.task.startswith("__main__:")

    @property
    def training(self) -> str:
        """What trains its cells, for people to read."""
        kind = "Function" if self.function else "Task"
        return f"{kind} {self.task}" if self.command is None else shell_words(self.command)

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> Study:
        """Validate `data`; `where` names its origin in errors.

        Raises:
            SpecError: naming each thing that is wrong.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as e:
            raise SpecError(explain(e, where, _panel_numbers(data))) from e

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
        unknown = set(_OF_TRAINING) if self.is_imported else set()
        unknown |= {"options"} if self.has_objective else set()
        unknown |= set() if self.function else {"function"}
        unknown |= set() if self.names_metric else {"metric"}
        table = self.model_dump(exclude={"panels"} | unknown, exclude_none=True)
        table["panel"] = [panel.to_toml() for panel in self.panels]
        return _PAIR.sub(r"    [\1, \2]", tomli_w.dumps(table))

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

    def trainings(self, panel: Panel) -> int:
        """How many trainings a panel has at most, over all seeds; of a grid, all."""
        return len(self.seeds) * len(panel.cells()) + self.askable(panel)

    def askable(self, panel: Panel) -> int:
        """How many of them are asked for at most, one after the other; of a grid, none."""
        if panel.promoted:
            return len(self.seeds) * self._most_cells(panel)
        return panel.sampled.trials if panel.sampled else 0

    def at_once(self, panel: Panel) -> int:
        """How many cells of a panel there are to be trained together, with one seed."""
        if panel.promoted:
            return -(-self._most_cells(panel) // panel.kinds)
        return panel.at_once(len(self.seeds))

    def _most_cells(self, panel: Panel) -> int:
        return most_cells(panel, self.panels, len(self.seeds))

    def options_of(self, panel: Panel, own: Own | None = None) -> Options:
        """What a step of the panel needs: the study's, where it says nothing itself.

        Where the study says nothing either, an update rule's own defaults hold; those of a rule of
        the user's own stand in the options of its panels (see `planning.own_pairs`).

        Args:
            panel: of the study.
            own: numbers of the cells that are meant; of the panel's last one if None.
        """
        options = self.options
        if not panel.is_labelled and (rule := RULES.get(pair_called(panel.pair).rule)):
            options = options.of_rule(rule.defaults)
        numbers = dict(panel.usual_own if own is None else own)
        of_step = {name: x for name, x in numbers.items() if name in Options.model_fields}
        return options.changed(panel.options).model_copy(update=of_step)

    def batch_size_of(self, panel: Panel, own: Own | None = None) -> int:
        """Examples in a batch of the panel, of a resolved study; `own` as of `options_of`."""
        numbers = dict(panel.usual_own if own is None else own)
        size = numbers.get(BATCH_SIZE) or panel.batch_size or self.batch_size
        assert size is not None
        return int(size)

    def change(self, **changes: Any) -> Study:
        """A validated copy with some fields replaced; what panels have, `change_panels` does."""
        unknown = changes.keys() - type(self).model_fields.keys()
        if unknown:
            raise TypeError(f"a study has no {', '.join(sorted(unknown))}")
        said = {field: getattr(self, field) for field in self.model_fields_set}
        return self.from_dict(said | changes, f"study '{self.name}'")

    def change_panels(self, **changes: Any) -> Study:
        """A validated copy with some fields of every panel replaced."""
        return self.change(panels=[panel.changed(changes) for panel in self.panels])

    def resolve(
        self, *, batch_size: int, epochs: int, metrics: Sequence[Metric] = (TEST_ERROR,)
    ) -> Study:
        """Fill what the study leaves to the task: its batch size, its budget, its metric.

        Args:
            metrics: what the task records. The first one becomes the study's where it names none;
                of one that it names, unit, title and goal are taken over.
        """
        panels = [dict(p) | {"epochs": p.epochs or epochs} for p in self.panels]
        known = {metric.name: metric for metric in metrics}
        named = self.metric if self.names_metric else metrics[0]
        metric = completed(named, known.get(named.name, named))
        return self.change(batch_size=self.batch_size or batch_size, panels=panels, metric=metric)

    def merge(self, asked: Study, where: str) -> Study:
        """This stored study, grown by what `asked` adds: panels, seeds, grid values.

        Panels that both have must agree in all that finished cells depend on; their grids
        become the smallest grid that holds both, and a design that asks for cells may take the
        place of a grid, but not of another one that asks (see `Panel.grown`). The study is
        drawn, and what matters of its metric is, as `asked` says. `where` names the database in
        errors.

        Raises:
            StudyMismatchError: `asked` would mix results that do not belong together.
        """
        for field in ("task", "function", "batch_size", "command", "pattern", "options"):
            self._require_same(field, getattr(self, field), getattr(asked, field), where)
        self._require_same("metric", self.metric.name, asked.metric.name, where)
        self._require_same("goal", self.metric.goal, asked.metric.goal, where)
        panels = {panel.name: panel for panel in self.panels}
        for new in asked.panels:
            old = panels.get(new.name)
            if old is not None:
                was, now = old.settings(), new.settings()
                usual = {"axes": "alpha × lambda"}
                for field in was | now:
                    label = f"panel '{new.name}': {field}"
                    stored, asks = ((usual | one).get(field) for one in (was, now))
                    self._require_same(label, stored, asks, where)
                label = f"panel '{new.name}': design"
                if old.asked and new.asked:
                    self._require_same(label, old.asked.asks_as, new.asked.asks_as, where)
                elif not new.asked or old.is_imported:
                    self._require_same(label, old.design, new.design, where)
                new = old.grown(new)
            panels[new.name] = new
        seeds = tuple({*self.seeds, *asked.seeds})
        # Who says nothing of what matters leaves it as it was.
        metric = asked.metric
        if metric == Metric(**filled(metric.name)):
            metric = self.metric
        elif metric.matters is None:
            metric = replace(metric, matters=self.metric.matters)
        shown = {"figure": asked.figure, "metric": metric}
        return self.change(panels=tuple(panels.values()), seeds=seeds, **shown)

    def _require_same(self, label: str, stored: object, asked: object, where: str) -> None:
        if stored != asked:
            raise StudyMismatchError(
                f"{where}: study '{self.name}' was run with {label} = {_plain(stored)}, "
                f"this asks for {_plain(asked)}: choose another --name, or ask for the same"
            )


def _plain(value: object) -> str:
    """A setting as a user would write it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_plain(v)}" for k, v in value.items()) + " }"
    return repr(value)
