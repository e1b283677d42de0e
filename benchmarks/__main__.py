"""All benchmarks, one after the other: `python -m benchmarks`, or `make bench`.

What is measured and how to read it: README.md beside this file.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import click

from benchmarks import analysis, fig2, growth, limit, overheads, queue, throughput
from benchmarks.measure import BenchmarkError, stop_when_terminated
from benchmarks.networks import EVERY
from benchmarks.results import RESULTS, Part, Settings, record
from benchmarks.tables import PAGE, render, update

PARTS: dict[str, Part] = {  # `limit` reads what the tool reached in throughput
    **{
        f"throughput-{name}": functools.partial(throughput.measure, network)
        for name, network in EVERY.items()
    },
    "limit": limit.measure,
    "growth": growth.measure,
    "queue": queue.measure,
    "overheads": overheads.measure,
    "analysis": analysis.measure,
    "fig2": fig2.measure,
}


@click.command()
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Only this part; may be repeated.  throughput stands for all of its networks.  "
    f"[{', '.join(PARTS)}]",
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--quick", is_flag=True, help="Tiny sizes, once: shows that everything works.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results and their page go.  [default: benchmarks/results and docs/speed.md; "
    "with --quick a temporary folder]",
)
def main(only: tuple[str, ...], repeats: int, quick: bool, output: Path | None) -> None:
    """Measure the tool, against what a user would run instead and against the machine."""
    stop_when_terminated()
    names = chosen(only)
    if quick and output is None:
        output = Path(tempfile.mkdtemp(prefix="benchmarks-quick-"))
    folder = output or RESULTS
    settings = Settings(1 if quick else repeats, quick, folder, tell)
    failed = []
    for name in names:
        click.echo(name)
        try:
            record(name, PARTS[name], settings)
        except BenchmarkError as e:  # the other parts are worth having
            failed.append(name)
            click.echo(f"Error: {e}", err=True)
    page = PAGE if output is None else output / PAGE.name
    update(page, folder)
    click.echo(f"{render(folder, names)}\nwritten: {folder}, {page}")
    if failed:
        raise SystemExit(f"failed, and not written: {', '.join(failed)}")


def tell(line: str) -> None:
    """Show a line of progress."""
    click.echo(f"  {line}")


def chosen(only: tuple[str, ...]) -> list[str]:
    """The parts that are asked for, in their order; all of them if none is named.

    Raises:
        click.UsageError: there is no such part.
    """
    for name in only:
        if not any(_means(name, part) for part in PARTS):
            raise click.UsageError(f"no part '{name}': choose from throughput, {', '.join(PARTS)}")
    return [part for part in PARTS if not only or any(_means(name, part) for name in only)]


def _means(name: str, part: str) -> bool:
    return part == name or part.startswith(f"{name}-")


if __name__ == "__main__":
    main()
