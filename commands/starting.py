"""Commands to begin with: new, try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landscape_study.commands.output import terminal
from landscape_study.commands.shared_options import (
    store_option,
    study_options,
    training_options,
    trust_option,
)

if TYPE_CHECKING:
    from landscape_study.study.planning.settings import RunSettings
    from landscape_study.study.spec.study import Study

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {"command": ".toml", "function": ".py", "task": ".py"}  # and their suffixes
FUNCTION = "--task {file}:train --metric val_loss"
GRID = "--alpha '{{ base = 1.0, log2 = [0, -5] }}' --lambda '{{ base = 1.0, log2 = [0, -7] }}'"
NEXT = {  # what to type: for one cell, for all
    "command": ("landscape try {file}", "landscape run {file}"),
    "function": (
        f"landscape try {FUNCTION} --alpha 0.1 --lambda 0.01",
        f"landscape run {FUNCTION} {GRID}",
    ),
    "task": ("landscape try --task {file}:task", "landscape run --task {file}:task --seeds 1"),
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def new(kind: str, file: Path, force: bool) -> None:
    """Write a commented FILE to begin with, which runs as it is.

    command: a study file (.toml) for a training script of yours, in any language. function: a
    Python function that trains one cell. task: a PyTorch network and its data, of which the tool
    trains many cells at once.

    \b
    Examples:
      landscape new command my-study.toml
      landscape new function train.py
    """  # noqa: D301
    if file.suffix != KINDS[kind]:
        raise click.UsageError(f"{file}: a {kind} is a {KINDS[kind]} file: call it that")
    text = (TEMPLATES / f"{kind}{KINDS[kind]}.txt").read_text("utf-8")
    text = text.replace("NAME", file.stem).replace("FILE", str(file))
    try:
        with file.open("w" if force else "x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError as e:
        raise click.UsageError(
            f"{file} is there already: name another file, or add --force to replace it"
        ) from e
    except OSError as e:
        raise click.UsageError(f"{file} cannot be written: {e.strerror}") from e
    one, all_ = (words.format(file=file) for words in NEXT[kind])
    click.echo(f"written: {file}\none cell of it:  {one}\nall of it:  {all_}")


@click.command("try")
@click.argument("words", metavar="[FILE | NAME | -- COMMAND...]", nargs=-1)
@study_options
@trust_option
@store_option
@training_options("device", "workers", "per_gpu", "engine", "timeout", "memory")
def try_(
    words: tuple[str, ...],
    trust_command: bool,
    store: str,
    settings: RunSettings,
    **changes: Any,
) -> None:
    """Run one cell of a study, and say what came of it and what all of it would cost.

    Of a task, also how it is trained and how fast, and what keeps it from being trained faster.

    It is the cell in the middle of the grid, or the one that --alpha and --lambda name. Nothing
    is stored. NAME may be a preset, or a study in the database.

    \b
    Examples:
      landscape try my-study.toml
      landscape try --task mine.py:mine
      landscape try --alpha 0.1 --lambda 0.01 --metric loss -- ./a.sh {alpha} {lambda}
    """  # noqa: D301
    from landscape_study.study.console.lines import engine_lines, trial_lines, whole_line
    from landscape_study.study.console.terminal_audience import TerminalAudience
    from landscape_study.study.planning.engine_report import engine_report
    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.running.training_run import planned
    from landscape_study.study.running.trial_cell import (
        middle_cell,
        only,
        try_cell,
        whole_cells,
        whole_seconds,
    )

    study, whole = _tried(words, changes, store, trust_command=trust_command)
    audience = TerminalAudience(terminal(), live=False)
    cell = middle_cell(study.panels[0])
    tried = study if study.has_objective else only(study, study.panels[0], cell)
    plan = planned(tried, settings, store, audience)
    panel = plan.study.panels[0]
    trial = try_cell(plan, panel, cell, settings)
    for line in trial_lines(plan.study, (panel.name, cell), trial):
        click.echo(line)
    if trial.value is None:
        raise SystemExit(1)
    if whole is not tried:
        plan = planned(whole, settings, store, audience)
    if isinstance(plan, Plan):
        for line in engine_lines(engine_report(plan)):
            click.echo(line)
    if whole_cells(whole) > 1:
        click.echo(whole_line(plan, whole_cells(whole), whole_seconds(plan, trial)))


def _tried(
    words: tuple[str, ...], changes: dict[str, Any], store: str, *, trust_command: bool
) -> tuple[Study, Study]:
    """The study of which a cell is tried, where options may narrow its grid; and all of it."""
    from landscape_study.study.errors import SpecError
    from landscape_study.study.planning.request import (
        Changes,
        asked_study,
        changed_study,
        resumed_study,
    )
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store
    from landscape_study.study.store.prior_state import holds

    single = {key: changes[key] for key in ("alpha", "lambda_") if _is_number(changes[key])}
    rest = changes | dict.fromkeys(single)
    if len(words) == 1 and holds(store, words[0]):
        stored = resumed_study(
            Store(store), words[0], changes["task"], trust_command=trust_command
        )
        return _narrowed(changed_study(stored, Changes(**rest | {"task": None})), single), stored
    if changes["axes"]:  # these numbers are those of all cells
        rest, single = changes, {}
    elif not words or len(words) > 1:  # they may be all that says over which values
        rest, single = changes | {key: f"[{text}]" for key, text in single.items()}, {}
    with no_results(words[0] if len(words) == 1 else None, SpecError):
        study = asked_study(words, Changes(**rest))
    return _narrowed(study, single), study


def _narrowed(study: Study, single: dict[str, str]) -> Study:
    """The study with one value of these axes, and no cells but those of its grid."""
    if not single:
        return study
    numbers = {key.removesuffix("_"): float(text) for key, text in single.items()}
    panels = [
        panel.changed(
            {name: x if name in panel.grid.fixed else [x] for name, x in numbers.items()}
            | {"extra_cells": (), "design": "grid"}
        )
        for panel in study.panels
    ]
    return study.change(panels=panels)


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
