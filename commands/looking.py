"""Commands that look at what a database holds: how far, with what outcome, drawn and told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from landscape_study.commands.output import (
    each_study,
    print_failures,
    print_status,
    save_figure,
    terminal,
)
from landscape_study.commands.shared_options import columns_options, store_option
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS
from landscape_study.study.spec.metric import METRICS

if TYPE_CHECKING:
    from landscape_study.study.spec.figure_kinds import FigureKind
    from landscape_study.study.spec.study import Study


@click.command()
@click.argument("name", required=False)
@store_option
def status(name: str | None, store: str) -> None:
    """Show how far study NAME is, who trains it and what failed; by default every study."""
    from landscape_study.study.console.text_tables import print_table, workers_table
    from landscape_study.study.store import Store

    opened, console = Store(store), terminal()

    def show(study: Study) -> None:
        print_status(console, study, opened)
        if workers := opened.workers(study.name):
            print_table(console, workers_table(workers))
        print_failures(study, opened)

    if name:
        show(opened.study(name))
    else:
        each_study(opened, show)


@click.command("list")
@store_option
def list_studies(store: str) -> None:
    """List the studies in the database."""
    from landscape_study.study.records.witness_record import marked
    from landscape_study.study.store import Store

    opened = Store(store)

    def show(study: Study) -> None:
        progress = opened.progress(study.name)
        finished, total = sum(p.finished for p in progress), sum(p.total for p in progress)
        doubtful = {one.panel for one in opened.witnesses(study.name) if not one.agrees}
        panels = ", ".join(marked(panel.name, panel.name in doubtful) for panel in study.panels)
        click.echo(f"{study.name}\t{finished} of {total} cells\ttask {study.task}\t{panels}")

    each_study(opened, show)


@click.command()
@click.argument("name")
@store_option
def show(name: str, store: str) -> None:
    """Print study NAME as TOML, and who ran it with which versions; or a preset's TOML."""
    from landscape_study.study.records.run_lines import run_lines
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store import Store
    from landscape_study.study.store.prior_state import holds

    if name in PRESETS and not holds(store, name):
        click.echo(load_preset(name).to_toml(), nl=False)
        return
    opened = Store(store)
    click.echo(opened.study(name).to_toml(), nl=False)
    for line in run_lines(opened.runs(name)):
        click.echo(f"# {line}")


@click.command()
@click.argument("name")
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File ending in .png, .pdf or .svg; may be given repeatedly.  "
    "[default: NAME.png beside the database]",
)
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be repeated.")
@click.option(
    "--span",
    type=click.FloatRange(min=0, min_open=True),
    help="How far from the best the colours of heatmaps and the axis of slices reach, in the unit "
    "of the metric.  [default: 12 times what matters; 3 points of error]",
)
@click.option("--cmap", help="Matplotlib colour map; jet is the paper's.")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    help="How many of the best cells to circle, and to look for on the border.  [default: 10]",
)
@click.option("--contours", is_flag=True, help="Draw lines of equal values.")
@click.option(
    "--reference",
    type=click.Choice(["fig2"]),
    help="Draw this figure of the paper below, and mark its best cells in ours.",
)
@click.option(
    "--kind",
    type=click.Choice(FIGURE_KINDS),
    help="slices: the metric against λ, a line for each α; generalization: against decay and "
    "training loss; anytime: the best runs by epoch; schedule: η by epoch.  [default: as the "
    "study says]",
)
@click.option(
    "--metric",
    multiple=True,
    metavar="NAME",
    help=f"What anytime figures show: {', '.join(METRICS)}, or the study's own metric; may be "
    "repeated.  [default: as the study says]",
)
@click.option("--columns", type=click.IntRange(min=1), help="Axes in a row.")
@click.option(
    "--width",
    help="For print: column (3.25 inches), page (5.5), or a number of inches.",
)
@store_option
def plot(
    name: str,
    outputs: tuple[Path, ...],
    panels: tuple[str, ...],
    kind: FigureKind | None,
    contours: bool,
    store: str,
    **options: Any,
) -> None:
    """Draw the figure of study NAME, finished or not: heatmaps, or what the study says.

    The schedules of a preset are drawn without a database.

    \b
    Examples:
      landscape plot digits-fig2 -o fig2.pdf --width page
      landscape plot digits-fig2 --kind slices --panel sgd --panel sgdw
      landscape plot digits-fig2 --reference fig2 -o beside-the-paper.png
      landscape plot digits-fig4 --metric train_loss --metric test_error
    """  # noqa: D301
    from landscape_study.landscapes.figures.study_figure import schedule_figure, study_figure
    from landscape_study.landscapes.reporting.sentences import figure_lines
    from landscape_study.study.planning.request import resolved_preset
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store import Store
    from landscape_study.study.store.database import figures_folder
    from landscape_study.study.store.prior_state import holds

    options["contours"] = contours or ()
    if name in PRESETS and not holds(store, name):
        own = load_preset(name).figure.kind
        if (kind or own) == "schedule":
            schedules = schedule_figure(resolved_preset(name), panels, **options)
            save_figure(
                schedules, outputs or (figures_folder(store) / _file_name(name, kind, own),)
            )
            return
    opened = Store(store)
    figure = study_figure(opened, name, panels, kind=kind, **options)
    for line in figure_lines(opened, name, panels, kind=kind, top=options["top"]):
        click.echo(line)
    own = opened.study(name).figure.kind
    save_figure(figure, outputs or (opened.folder / _file_name(name, kind, own),))


@click.command()
@click.argument("name")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="File ending in .csv or .parquet.",
)
@click.option(
    "--what",
    type=click.Choice(["cells", "curves"]),
    default="cells",
    show_default=True,
    help="One row per cell, or one row per cell and epoch.",
)
@store_option
def export(name: str, output: Path, what: str, store: str) -> None:
    """Write the results of study NAME as a CSV or Parquet table."""
    from landscape_study.landscapes.reading.frames import cells_frame, curves_frame, write_table
    from landscape_study.study.store import Store

    frame = {"cells": cells_frame, "curves": curves_frame}[what](Store(store), name)
    write_table(frame, output)
    click.echo(f"{output}: {len(frame)} rows")


@click.command()
@click.argument("name")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Where to write it.  [default: NAME.html or NAME.md beside the database]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["html", "md"]),
    default="html",
    show_default=True,
    help="One self-contained page, or Markdown with a folder of figures.",
)
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be repeated.")
@store_option
def report(
    name: str,
    output: Path | None,
    kind: Literal["html", "md"],
    panels: tuple[str, ...],
    store: str,
) -> None:
    """Write what study NAME shows, finished or not: verdicts, numbers, figures, advice.

    Is the best λ the same at every α (separable), or must both be tuned together (coupled)?
    What does tuning one at a time cost? Which cell to take? The page needs no network.
    """
    from landscape_study.landscapes.reporting.page import write_report
    from landscape_study.study.store import Store

    opened = Store(store)
    path = output or opened.folder / f"{name}.{kind}"
    click.echo(f"report: {write_report(opened, name, path, kind=kind, panels=panels)}")


@click.command()
@click.argument("name")
@click.argument("panel", required=False)
@click.argument("other", required=False)
@click.option(
    "--reference",
    type=click.Choice(["fig2"]),
    help="Compare with this published figure: with OTHER, a pair of it; else with PANEL's pair.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Also draw both and their difference into this .png, .pdf or .svg file; of a file, its "
    "heatmaps.",
)
@columns_options
@store_option
def compare(
    name: str,
    panel: str | None,
    other: str | None,
    reference: str | None,
    output: Path | None,
    columns: dict[str, Any],
    store: str,
) -> None:
    """Say how coupled the panels of study NAME are, and how PANEL and OTHER differ.

    OTHER is a panel of the same study, or STUDY/PANEL of another one. Without PANEL, all panels
    that differ in one setting are compared.

    NAME may be a file with results that were trained elsewhere: CSV, JSON or JSON lines, a row a
    run, over a grid of learning rates and weight decays. Which column is what is guessed and
    printed; options say otherwise.

    \b
    Examples:
      landscape compare digits-fig2
      landscape compare digits-fig2 adam adamw -o adam-adamw.pdf
      landscape compare digits-fig2 sgd --reference fig2
      landscape compare sweep.csv --metric val_loss
    """  # noqa: D301
    from landscape_study.landscapes.reading.foreign.table_files import is_table_file

    if is_table_file(name):
        if panel or other or reference:
            raise click.UsageError(f"{name} is a file: leave out PANEL, OTHER and --reference")
        _compare_file(name, columns, output)
        return
    if any(value is not None for value in columns.values()):
        raise click.UsageError(f"options of columns are for files, and {name} is none")
    from landscape_study.landscapes.reporting.comparison_request import (
        Request,
        comparison_tables,
        save_comparison,
    )
    from landscape_study.study.console.text_tables import print_table
    from landscape_study.study.store import Store

    opened = Store(store)
    request = Request(name, panel, other, reference)
    if output is not None:
        click.echo(f"figure: {save_comparison(opened, request, output)}")
    for table in comparison_tables(opened, request):
        print_table(terminal(), table)


def _compare_file(name: str, columns: dict[str, Any], output: Path | None) -> None:
    """What a file says, with its heatmaps if they are asked for."""
    from landscape_study.landscapes.figures.heatmap import plot_heatmaps
    from landscape_study.landscapes.reading.foreign.column_roles import Asked
    from landscape_study.landscapes.reading.foreign.sweep import read_sweep
    from landscape_study.landscapes.reporting.comparison_request import sweep_tables
    from landscape_study.study.console.text_tables import print_table

    sweep = read_sweep([name], Asked(**columns))
    for line in sweep.said:
        click.echo(line)
    if output is not None:
        save_figure(plot_heatmaps([one.landscape for one in sweep.panels]), (output,))
    for table in sweep_tables(sweep.panels):
        print_table(terminal(), table)


def _file_name(name: str, kind: FigureKind | None, own: FigureKind) -> str:
    """NAME.png for the study's own kind of figure, NAME-kind.png for another."""
    return f"{name}.png" if kind in (None, own) else f"{name}-{kind}.png"
