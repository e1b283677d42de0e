"""Commands on what studies are made of: data sets, pairs, tasks, presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from landscape_study.commands.output import terminal
from landscape_study.commands.shared_options import data_option
from landscape_study.study.environment.interruption import exit_code

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
def pairs() -> None:
    """List the optimizer/regularization pairs: update rules, and where λ enters."""
    from landscape_study.study.pairs.placements import CAUTIOUS, PLACEMENTS
    from landscape_study.study.pairs.registry import SHORT
    from landscape_study.study.pairs.rules import RULES

    click.echo("A pair is RULE-PLACEMENT, as lion-scaled or adam-corrected-cautious.\n")
    click.echo("RULE, and what θ loses by it:")
    for name, rule in RULES.items():
        own = "".join(f"; {option} = {value:g}" for option, value in rule.defaults.items())
        click.echo(f"  {name:12} {rule.about}{own}")
    click.echo("\nPLACEMENT, and what λ does:")
    for where, placement in PLACEMENTS.items():
        click.echo(f"  {where:12} {placement.about}")
    click.echo(f"  …-cautious   {CAUTIOUS}; not of l2\n\nFor short:")
    for whole, (short, title) in SHORT.items():
        click.echo(f"  {short:12} {whole:15} {title}")


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
