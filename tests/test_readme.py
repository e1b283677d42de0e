"""What the README says is true: its commands parse, its study file is valid, its code runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pandas as pd
import pytest

from cli import main
from landscapes.separability import separability
from landscapes.words import with_interval
from study.driver import run
from study.pairs import PAIRS
from study.plan import make_plan
from study.presets import load_preset
from study.spec import Axis, Study
from study.store import Store

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every `landscape` line of the README, alternatives apart, comments off."""
    lines = [line.partition("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    found = []
    for line in (line for line in lines if line.startswith("landscape ")):
        names = line.removeprefix("landscape ").split(" | ")
        found += [f"landscape {name}" for name in names] if len(names) > 1 else [line]
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_parses(line: str):
    name, *arguments = shlex.split(line)[1:]
    command = main.commands[name]
    with command.make_context(name, arguments) as context:
        assert isinstance(context, click.Context)


def test_the_commands_are_there():
    shown = {shlex.split(line)[1] for line in commands()}
    assert shown == set(main.commands)


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
    assert targets >= {"demo", "test", "lint"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_study_file_is_valid():
    (text,) = blocks("toml")
    study = Study.from_toml(text, "README")
    assert [panel.pair for panel in study.panels] == ["adamw", "adamw-torch"]
    assert study.panels[0].grid.lambda_.values[1] == 0.001 / 32
    assert study.panels[0].grid.lambda_.values[-1] == 0.016
    assert study.panels[0].grid.alpha.values[0] == 0.1 / 1024


def test_the_pairs_are_all_named():
    for pair in PAIRS:
        assert f"`{pair}`" in README


def test_the_table_of_statistics_is_that_of_the_reference_study():
    cells = pd.read_csv(ROOT / "results" / "reference" / "digits-fig2.csv")
    rows = re.findall(r"^\| ([^|]+) \| (coupled|separable|cannot tell) \| (.*) \|$", README, re.M)
    assert [title for title, _, _ in rows] == [
        PAIRS[pair].title for pair in cells["pair"].unique()
    ]
    for pair, (_, verdict, numbers) in zip(cells["pair"].unique(), rows, strict=True):
        found = separability(cells[cells["pair"] == pair])
        assert verdict == found.verdict
        shown = [found.tilt, found.drift, found.interaction, found.regret]
        assert numbers.split(" | ") == [with_interval(estimate) for estimate in shown]


@pytest.mark.slow
def test_the_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    panel = load_preset("digits-fig2").panel("adamw")
    small = {"epochs": 1, "alpha": Axis(values=(0.01,)), "lambda": Axis(values=(0.0, 0.1))}
    study = load_preset("digits-fig2").change(panels=[panel.changed(small)], seeds=1)
    plan = make_plan(study, device="cpu", workers=1)
    store = Store("results/landscapes.db", create=True)
    store.create(plan.study, plan.fingerprint, plan.chunks)
    run(plan, store)
    store.close()
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["ax"].get_title(loc="left") == "AdamW"
