"""Commands on databases: take something over, from files or from another one; is one complete?"""

from __future__ import annotations

from typing import Any

import click

from landscape_study.commands.output import print_status, terminal
from landscape_study.commands.shared_options import columns_options, store_option
from landscape_study.study.printable import printable_lines


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--name", help="Call the study this.  [default: as the first file]")
@columns_options()
@store_option
def import_(files: tuple[str, ...], name: str | None, asked: dict[str, Any], store: str) -> None:
    """Store the results in FILEs, that were trained elsewhere, as a study.

    Everything but training works with it: report, plot, compare, export. Which column is what is
    guessed and printed; options say otherwise. Nothing is stored by half.

    \b
    Examples:
      landscape import sweep.csv --name my-sweep
      landscape import adam.json adamw.json --name both --metric val_loss
    """  # noqa: D301
    from landscape_study.commands.questions import until_clear
    from landscape_study.landscapes.reading.foreign.asked import Asked
    from landscape_study.landscapes.reading.foreign.file_results import store_results
    from landscape_study.landscapes.reading.opening import read_results
    from landscape_study.study.store import Store

    results = until_clear(lambda said: read_results(files, said, name), Asked(**asked))
    for line in results.said:
        click.echo(line)
    opened = Store(store, create=True)
    store_results(results, opened)
    print_status(terminal(), results.spec, opened)
    click.echo(f"stored as study {results.spec.name} in {opened.name}; look at it with:")
    click.echo(f"  landscape report {results.spec.name} --store {opened.display_url}")


@click.command()
@click.argument("name", required=False)
@store_option
def check(name: str | None, store: str) -> None:
    """Verify the database: is everything of study NAME, or of all studies, there and whole?

    Says what to do about what is not; exits with 1 if anything is wrong.
    """
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store
    from landscape_study.study.store.checking import check

    with no_results(name):
        opened = Store(store)
        names = [name] if name else opened.names()
        findings = list(check(opened, names))
    faults = 0
    for finding in findings:
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
    from landscape_study.study.errors import StoreError
    from landscape_study.study.spec.command_line import command_line
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store
    from landscape_study.study.store.merging import merge

    with no_results(source, StoreError):
        there = Store(source)
    for name in names:
        there.study(name)  # or else INTO is not made
    if not there.names():
        click.echo(f"{there.name} holds no study: nothing is taken")
        return
    with no_results(into, StoreError):
        here = Store(into, create=True)
    for merged in merge(here, there, names, accept_source=accept_source):
        study = here.study(merged.study)
        resume = command_line("resume", study, here.display_url)
        click.echo(merged_line(merged, resume, study.metric))
