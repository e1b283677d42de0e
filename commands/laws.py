"""The command that says how the best α and λ go with a batch size, a budget or a width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from landscape_study.commands.output import save_figure, terminal
from landscape_study.commands.shared_options import columns_options, names_argument, store_option
from landscape_study.study.pairs.published_laws import Number

if TYPE_CHECKING:
    from landscape_study.landscapes.reporting.law_tables import LawTable

TABLES = (".csv", ".parquet")


class Told(click.ParamType):
    """NAME=NUMBER: the number of a panel or a study."""

    name = "NAME=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Both parts."""
        name, _, number = str(value).rpartition("=")
        try:
            return name, float(number)
        except ValueError:
            self.fail(f"'{value}': write NAME=NUMBER, as in --x narrow=64", param, ctx)


@click.command()
@names_argument
@click.option(
    "--over",
    type=click.Choice(get_args(Number)),
    help="The number that panels of a pair differ in.  [default: the only one that they do]",
)
@click.option("--pair", "pairs", multiple=True, help="Only this pair; may be given repeatedly.")
@click.option(
    "--x",
    "told",
    type=Told(),
    multiple=True,
    help="The width, or another number that is not known here, of a panel, of STUDY/PANEL or of "
    "all panels of a study; may be given repeatedly.",
)
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File ending in .csv or .parquet, for a table, or in .png, .pdf or .svg, for the figure; "
    "may be given repeatedly.",
)
@click.option(
    "--what",
    type=click.Choice(["exponents", "values", "published"]),
    default="exponents",
    show_default=True,
    help="Of a table: a row an exponent; a row a best value; a row a published law.",
)
@columns_options()
@store_option
def law(
    names: tuple[str, ...],
    over: Number | None,
    pairs: tuple[str, ...],
    told: tuple[tuple[str, float], ...],
    outputs: tuple[Path, ...],
    what: LawTable,
    asked: dict[str, Any],
    store: str,
) -> None:
    """Say how the best α and λ go with a batch size, a budget or a width, and who said so.

    Panels of study NAME that differ in one number only give a power law with its interval; it is
    held against published ones. NAME may be several studies, or files of results.

    \b
    Examples:
      landscape law digits-batch
      landscape law digits-supp3 --over epochs
      landscape law digits-batch -o law.pdf -o exponents.csv
      landscape law narrow wide --over width --x narrow=64 --x wide=256
    """  # noqa: D301
    from landscape_study.landscapes.figures.law_figure import plot_laws
    from landscape_study.landscapes.figures.style import SUFFIXES
    from landscape_study.landscapes.reading.exports import write_table
    from landscape_study.landscapes.reading.foreign.asked import Asked
    from landscape_study.landscapes.reporting.law_request import (
        LawRequest,
        scaling_laws,
        several_results,
    )
    from landscape_study.landscapes.reporting.law_tables import law_frame, law_tables
    from landscape_study.study.console.text_tables import print_table
    from landscape_study.study.errors import UsageError

    for output in outputs:
        if output.suffix not in (*TABLES, *SUFFIXES):
            raise UsageError(
                f"{output}: give a file that ends in {', '.join((*TABLES, *SUFFIXES))}"
            )
    with several_results(store, names, Asked(**asked)) as sources:
        for results, _ in sources:
            for line in results.said:
                click.echo(line)
        found = scaling_laws(sources, LawRequest(over, pairs, dict(told)))
    for table in law_tables(found):
        print_table(terminal(), table)
    for output in outputs:
        if output.suffix in TABLES:
            frame = law_frame(found, what)
            write_table(frame, output)
            click.echo(f"{output}: {len(frame)} rows")
        else:
            save_figure(plot_laws(found), (output,))
