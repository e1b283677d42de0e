"""Budgets as a third axis: panels of one pair at several budgets, each on the best cells before.

`epochs = [15, 60, 240]` of a panel stands for three panels: the cheapest has the design that was
asked for, each dearer one the best cells of the one before it (`design.Promoted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from landscape_study.study.spec.design import SHARE, VERDICT, Promoted
from landscape_study.study.spec.panel import MOST_EPOCHS, Panel
from landscape_study.study.validation import Frozen, explain

Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


class Budgets(Frozen):
    """Several budgets of one panel, ascending.

    Attributes:
        budgets: epochs of each.
        share: of the cells of one that are trained at the next (`design.Promoted`).
    """

    budgets: tuple[Epochs, ...] = Field(strict=False)
    share: float = Field(default=SHARE, gt=0, le=1)

    @field_validator("budgets")
    @classmethod
    def _ascending(cls, budgets: tuple[int, ...]) -> tuple[int, ...]:
        if not budgets:
            raise ValueError("no budgets: give at least one, as in epochs = [15, 60, 240]")
        if len(set(budgets)) < len(budgets):
            raise ValueError(f"{list(budgets)}: a budget stands there twice: give each once")
        return tuple(sorted(budgets))


def one_per_budget(panels: Sequence[Any]) -> list[Any]:
    """The panels of a study, as in its file, with one for each budget of those that have several.

    Raises:
        ValueError: several budgets of a panel that is promoted itself, or budgets that are none.
    """
    return [one for panel in panels for one in _expanded(panel)]


def numbers_as_written(panels: Sequence[Any]) -> list[int]:
    """For each panel of `one_per_budget`, which of those in the file it stands for, from 1."""
    return [number for number, panel in enumerate(panels, 1) for _ in _expanded(panel)]


def _expanded(panel: Any) -> Iterator[Any]:
    epochs = panel.get("epochs") if isinstance(panel, dict) else None
    if isinstance(epochs, list | tuple):
        epochs = {"budgets": epochs}
    if not isinstance(epochs, dict):
        yield panel
        return
    found = _checked(epochs)
    if len(found.budgets) == 1:
        yield panel | {"epochs": found.budgets[0]}
        return
    design = panel.get("design")
    if isinstance(design, Promoted) or (isinstance(design, dict) and "best_of" in design):
        raise ValueError(
            f"epochs = {list(found.budgets)}: several budgets choose their cells by themselves: "
            "leave out best_of, or give one budget"
        )
    name, before = panel.get("name") or _named_after(panel.get("pair")), None
    for budget in found.budgets:
        own = {"name": panel_name(name, budget), "epochs": budget}
        if before is not None:
            own["design"] = {"best_of": before, "share": found.share}
        yield panel | own
        before = own["name"]


def _checked(epochs: dict[str, Any]) -> Budgets:
    """The budgets of a panel, or in words what is wrong with them."""
    try:
        return Budgets.model_validate(epochs)
    except ValidationError as e:
        raise ValueError(explain(e, "epochs")) from e


def _named_after(pair: object) -> object:
    """What a panel is called that has the pair and no name: Tiger-l2 of mine.py:Tiger-l2."""
    return pair.rpartition(":")[2] if isinstance(pair, str) else pair


def panel_name(name: object, budget: int) -> str:
    """What the panel of one budget is called: "adamw-15-epochs"."""
    return f"{name}-{budget}-epochs"


def wrong_with_promotion(panels: Sequence[Panel]) -> str | None:
    """Why a panel's cells cannot be the best ones of another; None if nothing is wrong."""
    of = {panel.name: panel.promoted.best_of for panel in panels if panel.promoted}
    names = [panel.name for panel in panels]
    axes = {panel.name: (panel.grid.names, panel.grid.fixed) for panel in panels}
    for name, source in of.items():
        if source not in names:
            others = ", ".join(other for other in names if other != name)
            return f"panel '{name}': there is no panel '{source}' to take the best cells of: " + (
                f"name another panel, of {others}" if others else "give the study a cheaper panel"
            )
        if axes[name] != axes[source]:
            return f"panel '{name}' has other axes than '{source}', whose best cells it takes"
        seen = [name]
        while source in of and source not in seen:
            seen.append(source)
            source = of[source]
        if source in seen:
            if source == name and len(seen) == 1:
                return f"panel '{name}' takes the best cells of itself: name another panel"
            circle = " → ".join((*seen[seen.index(source) :], source))
            return f"panels take the best cells of each other in a circle ({circle}): name a grid"
    return None


def on_one_grid(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels, of which those that are promoted span what may be promoted to them."""
    named = {panel.name: panel for panel in panels}
    return tuple(_spanning(panel, named) for panel in panels)


def _spanning(panel: Panel, named: Mapping[str, Panel]) -> Panel:
    if panel.promoted is None:
        return panel
    source = _spanning(named[panel.promoted.best_of], named)
    grid = panel.grid.union(source.grid)
    return panel if grid == panel.grid else panel.model_copy(update={"grid": grid})


def source_of(panels: Sequence[Panel], name: str) -> str:
    """The panel, itself not promoted, from which the cells of the panel called `name` come."""
    named = {panel.name: panel for panel in panels}
    while name in named and (promoted := named[name].promoted):
        name = promoted.best_of
    return name


def most_cells(panel: Panel, panels: Sequence[Panel], seeds: int) -> int:
    """How many cells a panel has at most, each under some of so many seeds; unbuilt.

    Args:
        panel: one of them.
        panels: of the study.
        seeds: of the study.
    """
    if panel.promoted:
        (source,) = (one for one in panels if one.name == panel.promoted.best_of)
        return panel.promoted.chosen(most_cells(source, panels, seeds))
    if panel.sampled is None:
        return panel.grid.size
    # Optuna's samplers ask for each cell under every seed.
    asked = -(-panel.sampled.trials // (1 if panel.sampled.sampler == VERDICT else seeds))
    return len(panel.grid.extra) + asked
