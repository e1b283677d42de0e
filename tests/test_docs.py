"""What README and docs say is true: commands parse, studies are valid, code runs, links lead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pandas as pd
import pytest

from landscape_study.cli import main
from landscape_study.landscapes.reporting.phrases import with_interval
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.separability import separability
from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.spec.presets import PRESETS
from landscape_study.study.spec.study import Study
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.refusals import check_task
from tests.study.networks_of_users import REFUSED, TRAINED

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
AT_LAPTOP_SCALE = ("digits", "mnist5k", "chars")
README, FIGURES = DOCUMENTS["README.md"], DOCUMENTS["docs/figures.md"]


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str = README) -> list[str]:
    """Every `landscape` line of a document, alternatives apart, comments off."""
    code = [line for block in blocks("", text) for line in block.splitlines()]
    lines = [line.partition("#")[0].strip() for line in code]
    found = []
    for line in (line for line in lines if line.startswith("landscape ")):
        names = line.removeprefix("landscape ").split(" | ")
        found += [f"landscape {name}" for name in names] if len(names) > 1 else [line]
    return found


@pytest.mark.parametrize("line", [line for text in DOCUMENTS.values() for line in commands(text)])
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
    text = "".join(DOCUMENTS.values()) + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
    assert targets >= {"demo", "test", "lint"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file(name: str):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENTS[name])
    assert links
    for link in links:
        assert ((ROOT / name).parent / link).exists(), link


def test_every_preset_is_among_the_figures():
    for name in PRESETS:
        assert f"`{name}`" in FIGURES or f"](figures/{name}.png)" in FIGURES, name
        if name.startswith(AT_LAPTOP_SCALE):
            assert f"](figures/{name}.png)" in FIGURES
            assert re.search(rf"^landscape (run|plot) {name}$", FIGURES, re.MULTILINE), name


def test_make_figures_draws_every_preset_at_laptop_scale():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    drawn = re.search(r"^FIGURES := (.*)$", makefile, re.MULTILINE)
    assert drawn is not None
    laptop = {name for name in PRESETS if name.startswith(AT_LAPTOP_SCALE)}
    assert set(drawn.group(1).split()) == laptop


@pytest.mark.parametrize("text", [t for page in DOCUMENTS.values() for t in blocks("toml", page)])
def test_every_study_file_is_valid_and_survives(text: str):
    study = Study.from_toml(text, "docs")
    assert Study.from_toml(study.to_toml(), "again") == study


def test_the_study_file_is_valid():
    (text,) = blocks("toml")
    study = Study.from_toml(text, "README")
    assert [panel.pair for panel in study.panels] == ["adamw", "adamw-torch"]
    assert study.panels[0].grid.lambda_.values[1] == 0.001 / 32
    assert study.panels[0].grid.lambda_.values[-1] == 0.016
    assert study.panels[0].grid.alpha.values[0] == 0.1 / 1024


def test_the_pairs_are_all_named():
    for name in (*RULES, *PLACEMENTS, "adamw", "sgdw-torch", "adamw-torch", "lion-scaled"):
        assert f"`{name}`" in README
    page, _ = DOCUMENTS["docs/pairs.md"].split("## What they are held against")
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == [*PLACEMENTS, *RULES]


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


def test_the_tables_of_findings_are_those_of_the_reference_studies():
    pattern = r"^\| `([\w-]+)` \| ([\w-]+) \| (coupled|separable|cannot tell) \| (.*) \|$"
    rows = re.findall(pattern, DOCUMENTS["docs/findings.md"], re.MULTILINE)
    assert len(rows) == 42
    for study, panel, verdict, numbers in rows:
        cells = pd.read_csv(ROOT / "results" / "reference" / f"{study}.csv")
        found = separability(cells[cells["panel"] == panel])
        assert verdict == found.verdict
        shown = [found.tilt, found.drift, found.interaction, found.regret]
        assert numbers.split(" | ") == [with_interval(estimate) for estimate in shown]


def test_the_exponents_of_findings_are_those_of_the_reference_studies():
    pattern = r"^\| `([\w-]+-batch)` \| `(\w+)` \| ([^|]+) \| (.*) \|$"
    rows = re.findall(pattern, DOCUMENTS["docs/findings.md"], re.MULTILINE)
    assert len(rows) == 4
    for study, pair, held, numbers in rows:
        found = pd.read_csv(ROOT / "results" / "reference" / "laws" / f"{study}.csv")
        own = found[(found["pair"] == pair) & found["held"].str.startswith(held)]
        ends = own.set_index("quantity")[["exponent", "exponent_low", "exponent_high"]]
        shown = [Estimate(*ends.loc[name]) for name in ("α", "λ", "timescale")]
        assert numbers.split(" | ") == [with_interval(estimate) for estimate in shown]


def test_the_task_of_ten_lines_is_one(tmp_path: Path):
    code, _ = blocks("python")
    (tmp_path / "ten_lines.py").write_text(code, "utf-8")
    task = load_task(f"{tmp_path / 'ten_lines.py'}:mine")
    data = check_task(task, [(task.batch_size, 1)])
    assert data.train.count + data.test.count == 1797
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_rule_of_twenty_lines_is_the_example():
    (code,) = blocks("python", DOCUMENTS["docs/pairs.md"])
    example = (ROOT / "examples" / "own_rule.py").read_text("utf-8")
    assert example.endswith(code)
    assert len(code.splitlines()) <= 20
    study = Study.from_file(ROOT / "examples" / "own_rule.toml")
    assert [panel.name for panel in study.panels][:2] == ["Signum-scaled", "Signum-decoupled"]


@pytest.mark.long
def test_the_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    _, code = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["adamw"].title == "AdamW"  # type: ignore[attr-defined]


def test_the_best_errors_under_each_schedule_are_those_of_the_reference_study():
    cells = pd.read_csv(ROOT / "results" / "reference" / "digits-fig1.csv")
    for pair in ("adam", "adamw"):
        shown = []
        for schedule in ("constant", "step", "cosine"):
            own = cells[cells["panel"] == f"{pair}-{schedule}"]
            table = own.groupby(["alpha", "lambda"])["test_error"].agg(["mean", "sem"])
            best = table.loc[table["mean"].idxmin()]
            shown.append(f"{best['mean']:.2f} ± {best['sem']:.2f}")
        row = f"| {PAIRS[pair].title} | {' | '.join(shown)} |"
        assert row in DOCUMENTS["docs/findings.md"]


def test_the_best_losses_of_the_language_model_are_those_of_the_reference_study():
    cells = pd.read_csv(ROOT / "results" / "reference" / "chars-fig2.csv")
    for panel, own in cells.groupby("panel"):
        table = own.groupby(["alpha", "lambda"])["test_bits"].agg(["mean", "sem"])
        without = table.xs(0.0, level="lambda")
        (alpha, lambda_), best = table["mean"].idxmin(), table.loc[table["mean"].idxmin()]
        none = without.loc[without["mean"].idxmin()]
        timescale = own.query("alpha == @alpha and `lambda` == @lambda_")["timescale"].iloc[0]
        row = (
            f"| `{panel}` | {best['mean']:.3f} ± {best['sem']:.3f} | α = {alpha:g}, "
            f"λ = {lambda_:g} | {none['mean']:.3f} ± {none['sem']:.3f} | "
        )
        told = f"{timescale:.1f}" if timescale < 100 else f"{timescale:,.0f}"
        assert row + f"{told} |" in DOCUMENTS["docs/findings.md"]


def test_the_table_of_networks_says_what_the_tests_of_networks_do():
    _, text = DOCUMENTS["docs/networks.md"].split("## What is trained, and how")
    how = {"captured": "together, replayed", "vmap": "together", "referee": "plain loop"}
    for name, (_, fastest) in TRAINED.items():
        assert f"| {name} | {how[fastest]} |" in text
    for name in REFUSED:
        assert re.search(rf"^\| {re.escape(name)} \| .+ \|$", text, re.MULTILINE)
    rows = re.findall(r"^\| .+ \| .+ \|$", text, re.MULTILINE)
    assert len(rows) == len(TRAINED) + len(REFUSED) + 2  # and two headings
