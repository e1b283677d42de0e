"""Commands on whole databases: is one complete, and what does one have that another lacks?"""

from __future__ import annotations

import click

from landscape_study.commands.shared_options import store_option
from landscape_study.study.printable import printable_lines


@click.command()
@click.argument("name", required=False)
@store_option
def check(name: str | None, store: str) -> None:
    """Verify the database: is everything of study NAME, or of all studies, there and whole?

    Says what to do about what is not; exits with 1 if anything is wrong.
    """
    from landscape_study.study.store import Store
    from landscape_study.study.store.checking import check

    opened = Store(store)
    names = [name] if name else opened.names()
    faults = 0
    for finding in check(opened, names):
        click.echo(printable_lines(f"{finding.what}\n  {finding.remedy}"))
        faults += finding.is_fault
    cells = sum(map(opened.count, names))
    verdict = f"{faults} fault{'s' * (faults > 1)}" if faults else "all is well"
    studies = f"{len(names)} stud{'y' if len(names) == 1 else 'ies'}"
    click.echo(f"{opened.name}: {studies}, {cells} cells: {verdict}")
    raise SystemExit(bool(faults))


@click.command()
@click.argument("into")
@click.argument("source")
@click.option("--study", "names", multiple=True, help="Only this study; may be repeated.")
@click.option(
    "--accept-source", is_flag=True, help="Also where the source of your own task differs."
)
def merge(into: str, source: str, names: tuple[str, ...], accept_source: bool) -> None:
    """Take over into database INTO what it lacks of the studies in database SOURCE.

    Both are database URLs, or paths of SQLite files; INTO is created if need be. Finished cells
    are taken, no cell twice; what is finished in both stays as it is, and so does all of SOURCE.
    Only what is whole is taken: merging a database with torn or lost cells into a new one saves
    the others.

    \b
    Examples:
      landscape merge results/all.db results/from-the-other-machine.db
      landscape merge postgresql+psycopg://me@server/landscapes results/landscapes.db
    """  # noqa: D301
    from landscape_study.study.console.lines import merged_line
    from landscape_study.study.spec.command_line import command_line
    from landscape_study.study.store import Store
    from landscape_study.study.store.merging import merge

    there = Store(source)
    for name in names:
        there.study(name)  # or else INTO is not made
    if not there.names():
        click.echo(f"{there.name} holds no study: nothing is taken")
        return
    here = Store(into, create=True)
    for merged in merge(here, there, names, accept_source=accept_source):
        study = here.study(merged.study)
        resume = command_line("resume", study, here.display_url)
        click.echo(merged_line(merged, resume, study.metric))
