"""docs/study-files.md: every key of a study file stands there, with its default, and no other."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.schedules import SCHEDULES, Schedule
from landscape_study.study.spec.budgets import Budgets
from landscape_study.study.spec.design import Promoted, Sampled
from landscape_study.study.spec.grid import Grid
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.pruning import Pruning
from landscape_study.study.spec.study import Figure, Study

PAGE = (Path(__file__).parents[3] / "docs" / "study-files.md").read_text(encoding="utf-8")
SAID_OTHERWISE = {"seeds", "metric", "metrics", "name", "schedule"}  # as people write it


def section(title: str) -> str:
    """The text below a headline."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """Of the table in a section: the default of each key, as it is written."""
    found = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", section(title), re.MULTILINE)
    return {key: default.strip() for key, default in found}


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """By its name in files, what each field of a model is where a file leaves it out."""
    return {
        field.alias or name: field.default
        for name, field in model.model_fields.items()
        if not field.exclude
    }


METRIC = {
    field.name: None if field.default is MISSING else field.default for field in fields(Metric)
}
PANEL = {k: v for k, v in defaults(Panel).items() if k != "grid"} | defaults(Grid)


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("The study", defaults(Study)),
        ("A panel", PANEL),
        ("A design", defaults(Sampled)),
        ("The best cells of another panel", defaults(Promoted)),
        ("Budgets", defaults(Budgets)),
        ("What is pruned", defaults(Pruning)),
        ("Options", defaults(Options)),
        ("A metric", METRIC),
        ("A figure", defaults(Figure)),
    ],
)
def test_the_page_has_every_key_and_its_default(title: str, known: dict[str, Any]):
    told = rows(title)
    assert told.keys() == known.keys()
    plain = {key: one for key, one in known.items() if isinstance(one, bool | int | float | str)}
    for key, default in plain.items():
        if key not in SAID_OTHERWISE:
            assert tomllib.loads(f"x = {told[key].strip('`')}")["x"] == default, key


@pytest.mark.parametrize("model", get_args(get_args(Schedule)[0]))
def test_the_page_has_every_key_of_every_schedule(model: type[BaseModel]):
    known = defaults(model)
    kind = known.pop("kind")
    (row,) = re.findall(rf"^\| `{kind}` \|.*$", section("Schedules"), re.MULTILINE)
    own = {key: one for key, one in known.items() if key != "warmup" or one}
    cell = row.strip("| ").rpartition("|")[2] if own else ""
    told = dict(re.findall(r"`(\w+)(?: = ([^`]+))?`", cell))
    assert told.keys() == own.keys()
    for key, text in told.items():
        if text:
            value = tomllib.loads(f"x = {text}")["x"]
            assert (tuple(value) if isinstance(value, list) else value) == own[key]


def test_the_page_has_no_schedule_that_there_is_not():
    assert list(rows("Schedules")) == list(SCHEDULES)


def test_its_examples_are_studies():
    example, other = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    study = Study.from_toml(example, "the page")
    assert study.panels[0].schedule.label == "cosine (warmup 5 %, to 10 %)"
    assert Study.from_toml(study.to_toml(), "again") == study
    assert Study.from_toml(other, "the page").panels[0].grid.names == ("beta2", "lambda")
