"""What several commands print."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landscape_study.study.errors import LandscapeError
from landscape_study.study.printable import printable_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from landscape_study.landscapes.reading.study_results import Results
    from landscape_study.study.spec.study import Panel, Study
    from landscape_study.study.store import Store


def echo_wrapped(line: str) -> None:
    """Print a line, in several where the terminal is narrower."""
    indent = " " * (len(line) - len(line.lstrip()))
    _echo_filled(line, "", f"{indent}    ")


def echo_row(head: str, text: str, width: int) -> None:
    """Print a row of two columns, the first of so many characters, indented."""
    _echo_filled(text, f"  {head:{width}} ", " " * (width + 3))


def _echo_filled(text: str, first: str, others: str) -> None:
    lines = textwrap.TextWrapper(
        shutil.get_terminal_size().columns, first, others, break_on_hyphens=False
    )
    click.echo(lines.fill(text))


def terminal() -> Console:
    """The console that commands print to."""
    from rich.console import Console

    return Console()


@contextmanager
def understood(
    names: Sequence[str], store: str, asked: dict[str, Any]
) -> Iterator[tuple[Results, str]]:
    """The results that names mean, of a study or of files, and the study's name.

    What is unclear of files is asked about at a terminal.
    """
    from landscape_study.commands.questions import until_clear
    from landscape_study.landscapes.reading.foreign.asked import Asked
    from landscape_study.landscapes.reading.opening import results_of

    with ExitStack() as stack:
        yield until_clear(
            lambda said: stack.enter_context(results_of(store, names, said)), Asked(**asked)
        )


@contextmanager
def looked_at(
    names: Sequence[str], store: str, asked: dict[str, Any]
) -> Iterator[tuple[Results, str]]:
    """The same; of files, say how they are understood."""
    with understood(names, store, asked) as (results, name):
        for line in results.said:
            click.echo(line)
        yield results, name


def each_study(store: Store, show: Callable[[Study], None]) -> None:
    """Show every study that can be read; say what is wrong with the others, and exit with 1."""
    broken: list[LandscapeError] = []
    studies = store.studies(broken.append)
    for study in studies:
        try:
            show(study)
        except LandscapeError as e:
            broken.append(e)
    for error in broken:
        click.echo(printable_lines(f"cannot be read: {error}"), err=True)
    if broken:
        raise SystemExit(1)
    if not studies:
        click.echo(f"{store.name}: no studies yet: start one with `landscape run`")


def print_status(console: Console, study: Study, store: Store) -> None:
    """Show how far each panel is, and how its witness lies."""
    from landscape_study.study.console.lines import print_plain, witness_lines
    from landscape_study.study.console.text_tables import print_table, status_table

    witnesses = store.witnesses(study.name)
    print_table(console, status_table(study, store.progress(study.name), witnesses))
    noise = store.seed_noise(study.name) if witnesses else {}
    for line in witness_lines(study, witnesses, noise):
        print_plain(console, line)
    settled = store.settled(study.name)
    for panel in study.panels:
        if panel.name in settled:
            print_plain(console, f"{panel.name}: {settled[panel.name]}")
        elif panel.promoted and _waits(store, study, panel):
            best = f"the best cells of {panel.promoted.best_of}"
            print_plain(console, f"{panel.name}: waits for {best}")


def _waits(store: Store, study: Study, panel: Panel) -> bool:
    """Whether the panel whose best cells it is to have is not finished."""
    known = store.known(study.name, panel.name)
    return known is not None and known.source is None


def print_failures(study: Study, store: Store) -> None:
    """Say which cells were given up."""
    from landscape_study.study.console.lines import failure_lines
    from landscape_study.study.spec.command_line import command_line

    retry = command_line("resume", study, store.display_url, "--retry-failed")
    for line in failure_lines(store.failures(study.name), None if study.is_imported else retry):
        click.echo(line)


def print_findings(store: Store, name: str) -> None:
    """Say how coupled each panel is, and what the study's figure says."""
    from landscape_study.landscapes.reporting.sentences import figure_lines, verdict_lines

    for line in (*verdict_lines(store, name), *figure_lines(store, name)):
        click.echo(line)


def save_figure(figure: Figure, outputs: tuple[Path, ...]) -> None:
    """Write a figure into files, and say which."""
    from landscape_study.landscapes.figures.style import save

    for output in outputs:
        save(figure, output)
        click.echo(f"figure: {output}")
