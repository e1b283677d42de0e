"""Commands on what studies are made of: data sets, pairs, tasks, presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from landscape_study.commands.output import echo_row, terminal
from landscape_study.commands.shared_options import data_option
from landscape_study.study.environment.interruption import exit_code

NAMES = 17  # characters of a rule's name, at most

if TYPE_CHECKING:
    from landscape_study.study.tasks.data_sets import DataSet


@click.command()
@click.argument("name", required=False)
@data_option("--folder")
def data(name: str | None) -> None:
    """Bring data set NAME into the data folder; without NAME, list the data sets.

    Downloaded once, checked and unpacked; interrupted, it goes on where it stopped. An archive
    that you put into the folder yourself is taken. Where there is no public address, it says
    what to put where.

    \b
    Examples:
      landscape data
      landscape data cifar10 --folder /data
    """  # noqa: D301
    from landscape_study.study.tasks.data_sets import DATA_SETS, find_data_set

    if name is None:
        for known in DATA_SETS.values():
            click.echo(f"{known.name:12} {known.state():26} {known.path}\n{'':12} {known.about}")
        return
    data_set = find_data_set(name)
    _fetch(data_set)
    click.echo(f"{data_set.name}: complete in {data_set.path}")


@click.command()
@click.argument("code", metavar="[FILE.py[:CLASS]]", required=False)
def pairs(code: str | None) -> None:
    """List the optimizer/regularization pairs: update rules, and where λ enters.

    Of FILE.py, or package.module:CLASS, check the rules and optimizers that are your own: whether
    they do what many cells at once, checkpoints and all engines count on.

    \b
    Examples:
      landscape pairs
      landscape pairs mine.py
      landscape pairs mine.py:Tiger
      landscape pairs torch.optim:NAdam
    """  # noqa: D301
    if code is None:
        _list_pairs()
    else:
        _check_pairs(code)


def _check_pairs(code: str) -> None:
    """Say of each rule and optimizer of a file what is wrong with it, or how it is named."""
    from landscape_study.study.errors import PairError
    from landscape_study.study.planning.own_pairs import checked_line, codes_of

    is_wrong = False
    for one in codes_of(code):
        try:
            click.echo(checked_line(one))
        except PairError as e:
            is_wrong = True
            click.echo(f"Error: {e}", err=True)
    if is_wrong:
        raise SystemExit(PairError.exit_code)


def _list_pairs() -> None:
    from landscape_study.study.pairs.placements import CAUTIOUS, PLACEMENTS
    from landscape_study.study.pairs.registry import SHORT
    from landscape_study.study.pairs.rules import RULES

    click.echo("A pair is RULE-PLACEMENT, as lion-scaled or adam-corrected-cautious.\n")
    click.echo("RULE, and what θ loses by it:")
    for name, rule in RULES.items():
        own = "".join(f"; {option} = {value:g}" for option, value in rule.defaults.items())
        echo_row(name, f"{rule.about}{own}", NAMES)
    click.echo("\nPLACEMENT, and what λ does:")
    for where, placement in PLACEMENTS.items():
        echo_row(where, placement.about, NAMES)
    echo_row("…-cautious", f"{CAUTIOUS}; not of l2", NAMES)
    click.echo("\nFor short:")
    for whole, (short, title) in SHORT.items():
        echo_row(short, f"{whole}, {title}", NAMES)
    click.echo("\nYour own (docs/pairs.md):")
    echo_row("rule", "FILE.py:Class-PLACEMENT, of a landscape_study.Rule", NAMES)
    echo_row("optimizer", "package.module:Class or FILE.py:Class, as torch.optim:NAdam", NAMES)


@click.command()
def tasks() -> None:
    """List the built-in tasks."""
    from landscape_study.study.tasks import TASKS

    for name, entry in TASKS.items():
        needs = f" (`landscape data {entry.data_set}`)" if entry.data_set else ""
        if entry.package:
            needs = f" (extra tasks: {entry.package})"
        click.echo(f"{name:16} {entry.about}{needs}")
    click.echo(
        "your own:        --task package.module:name, a landscape_study.Task; see examples/"
    )


@click.command()
def presets() -> None:
    """List the studies that come with the tool."""
    from landscape_study.study.spec.presets import PRESETS

    for name, about in PRESETS.items():
        click.echo(f"{name:21} {about}")


def _fetch(data_set: DataSet) -> None:
    """Bring the data set into the data folder, with a bar."""
    from landscape_study.study.console.progress import download_bar
    from landscape_study.study.tasks.download import fetch

    try:
        with download_bar(terminal(), data_set.name) as show:
            fetch(data_set, show)
    except KeyboardInterrupt:
        click.echo(f"\nstopped; {data_set.name} goes on from here when asked again", err=True)
        raise SystemExit(exit_code()) from None
