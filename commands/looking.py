"""Commands that look at what a database holds: how far, with what outcome, drawn and told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from landscape_study.commands.output import (
    each_study,
    looked_at,
    print_failures,
    print_status,
    save_figure,
    terminal,
    understood,
)
from landscape_study.commands.shared_options import (
    columns_options,
    names_argument,
    over_option,
    store_option,
)
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS
from landscape_study.study.spec.metric import METRICS

if TYPE_CHECKING:
    from landscape_study.landscapes.reading.exports import What
    from landscape_study.study.spec.figure_kinds import FigureKind, Over
    from landscape_study.study.spec.study import Study


@click.command()
@click.argument("name", required=False)
@store_option
def status(name: str | None, store: str) -> None:
    """Show how far study NAME is, who trains it and what failed; by default every study."""
    from landscape_study.study.console.text_tables import print_table, workers_table
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    with no_results(name):
        opened, console = Store(store), terminal()
        chosen = opened.study(name) if name else None

    def show(study: Study) -> None:
        print_status(console, study, opened)
        if workers := opened.workers(study.name):
            print_table(console, workers_table(workers))
        print_failures(study, opened)

    if chosen:
        show(chosen)
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
        pruned = sum(p.pruned for p in progress)
        cells = f"{finished} of {total} cells" + f", {pruned} pruned" * (pruned > 0)
        doubtful = {one.panel for one in opened.witnesses(study.name) if not one.agrees}
        panels = ", ".join(marked(panel.name, panel.name in doubtful) for panel in study.panels)
        click.echo(f"{study.name}\t{cells}\ttask {study.task}\t{panels}")

    each_study(opened, show)


@click.command()
@names_argument
@columns_options()
@store_option
def show(names: tuple[str, ...], asked: dict[str, Any], store: str) -> None:
    """Print study NAME as TOML, and who ran it with which versions; or a preset's TOML.

    NAME may be a file of results that were trained elsewhere, or several of them.
    """
    from landscape_study.study.records.run_lines import run_lines
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store.prior_state import holds

    if names[0] in PRESETS and not holds(store, names[0]):
        click.echo(load_preset(names[0]).to_toml(), nl=False)
        return
    with understood(names, store, asked) as (results, name):
        click.echo(results.study(name).to_toml(), nl=False)
        for line in run_lines(results.runs(name)):
            click.echo(f"# {line}")


@click.command()
@names_argument
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File ending in .png, .pdf or .svg; may be given repeatedly.  "
    "[default: NAME.png beside the database; of files, in the working directory]",
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
    help="How many of the best cells to circle, and to look for on the border.  "
    "[default: 10, or the best quarter of few]",
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
    "training loss; anytime: the best runs by epoch; schedule: η by epoch; mechanism: norms of "
    "weights, gradients and steps; law: the best α and λ over batch sizes or budgets.  "
    "[default: as the study says]",
)
@click.option(
    "--metric",
    multiple=True,
    metavar="NAME",
    help=f"What anytime figures show: {', '.join(METRICS)}, or the study's own metric; may be "
    "repeated. Of a file: the column of the metric, and others to show.  [default: as the study "
    "says]",
)
@over_option(default="as the study says")
@click.option("--columns", type=click.IntRange(min=1), help="Axes in a row.")
@click.option(
    "--width",
    help="For print: column (3.25 inches), page (5.5), or a number of inches.",
)
@columns_options(metric=False, panel=False)
@store_option
def plot(
    names: tuple[str, ...],
    outputs: tuple[Path, ...],
    panels: tuple[str, ...],
    kind: FigureKind | None,
    contours: bool,
    metric: tuple[str, ...],
    asked: dict[str, Any],
    store: str,
    **options: Any,
) -> None:
    """Draw the figure of study NAME, finished or not: heatmaps, or what the study says.

    NAME may be a file of results that were trained elsewhere, or several of them. The schedules
    of a preset are drawn without a database.

    \b
    Examples:
      landscape plot digits-fig2 -o fig2.pdf --width page
      landscape plot digits-fig2 --kind slices --panel sgd --panel sgdw
      landscape plot digits-fig2 --reference fig2 -o beside-the-paper.png
      landscape plot digits-fig4 --metric train_loss --metric test_error
      landscape plot sweep.csv --metric val_loss -o sweep.pdf
    """  # noqa: D301
    from landscape_study.landscapes.figures.study_figure import schedule_figure, study_figure
    from landscape_study.landscapes.reading.foreign.foreign_study import column_name
    from landscape_study.landscapes.reading.opening import files_among
    from landscape_study.landscapes.reporting.sentences import figure_lines
    from landscape_study.study.planning.request import resolved_preset
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store.database import figures_folder
    from landscape_study.study.store.prior_state import holds

    options["contours"] = contours or ()
    name = names[0]
    if name in PRESETS and not holds(store, name):
        own = load_preset(name).figure.kind
        if (kind or own) == "schedule":
            schedules = schedule_figure(resolved_preset(name), panels, **options)
            save_figure(
                schedules, outputs or (figures_folder(store) / _file_name(name, kind, own),)
            )
            return
    if metric and files_among(store, names):
        asked["metric"] = metric[0]
        metric = tuple(map(column_name, metric)) if metric[1:] else ()
    with looked_at(names, store, asked) as (results, name):
        figure = study_figure(results, name, panels, kind=kind, metric=metric, **options)
        for line in figure_lines(results, name, panels, kind=kind, top=options["top"]):
            click.echo(line)
        own = results.study(name).figure.kind
        save_figure(figure, outputs or (results.folder / _file_name(name, kind, own),))


@click.command()
@names_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="File ending in .csv or .parquet; or in .nc, for a NetCDF cube of everything.",
)
@click.option(
    "--what",
    type=click.Choice(["cells", "curves", "mechanism", "wandb"]),
    default="cells",
    show_default=True,
    help="Of a table: a row per cell; a row per cell and epoch, of what was measured or of what "
    "happened inside (norms of weights, gradients and steps); or a row per run as Weights & "
    "Biases has them.",
)
@columns_options()
@store_option
def export(
    names: tuple[str, ...], output: Path, what: What, asked: dict[str, Any], store: str
) -> None:
    """Write the results of study NAME as a CSV or Parquet table, or as a NetCDF cube.

    NAME may be a file of results that were trained elsewhere, or several of them.
    """
    from landscape_study.landscapes.reading.exports import write_export

    with looked_at(names, store, asked) as (results, name):
        click.echo(f"{output}: {write_export(results, name, output, what)}")


@click.command()
@names_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Where to write it.  [default: NAME.html or NAME.md beside the database; of files, in "
    "the working directory]",
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
@columns_options(panel=False)
@store_option
def report(
    names: tuple[str, ...],
    output: Path | None,
    kind: Literal["html", "md"],
    panels: tuple[str, ...],
    asked: dict[str, Any],
    store: str,
) -> None:
    """Write what study NAME shows, finished or not: verdicts, numbers, figures, advice.

    Is the best λ the same at every α (separable), or must both be tuned together (coupled)?
    What does tuning one at a time cost? Which cell to take? The page needs no network.

    NAME may be a file of results that were trained elsewhere, or several of them. Which column
    is what is guessed and printed; options say otherwise.

    \b
    Examples:
      landscape report digits-fig2
      landscape report sweep.csv --metric val_loss
    """  # noqa: D301
    from landscape_study.landscapes.reporting.page import write_report

    with looked_at(names, store, asked) as (results, name):
        path = output or results.folder / f"{name}.{kind}"
        written = write_report(results, name, path, kind=kind, panels=panels)
    click.echo(f"report: {written}")


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
@over_option(default="lambda")
@columns_options()
@store_option
def compare(
    name: str,
    panel: str | None,
    other: str | None,
    reference: str | None,
    output: Path | None,
    over: Over | None,
    asked: dict[str, Any],
    store: str,
) -> None:
    """Say how coupled the panels of study NAME are, and how PANEL and OTHER differ.

    OTHER is a panel of the same study, or STUDY/PANEL of another one. Without PANEL, all panels
    that differ in one setting are compared.

    NAME may be a file of results that were trained elsewhere, and PANEL and OTHER further ones.
    Which column is what is guessed and printed; options say otherwise.

    \b
    Examples:
      landscape compare digits-fig2
      landscape compare digits-fig2 adam adamw -o adam-adamw.pdf
      landscape compare digits-fig2 sgd --reference fig2
      landscape compare sweep.csv --metric val_loss
      landscape compare adam.csv adamw.csv -o heatmaps.png
    """  # noqa: D301
    from landscape_study.landscapes.figures.study_figure import study_figure
    from landscape_study.landscapes.reading.opening import files_among
    from landscape_study.landscapes.reporting.comparison_request import (
        Request,
        comparison_tables,
        save_comparison,
    )
    from landscape_study.study.console.text_tables import print_table

    words = [word for word in (name, panel, other) if word is not None]
    files = files_among(store, words)
    with looked_at(files or [name], store, asked) as (results, study):
        rest = [word for word in words if word not in (files or [name])]
        chosen = dict(zip(("panel", "other"), rest, strict=False))
        request = Request(study, **chosen, reference=reference)
        if output is not None and files and not rest:
            save_figure(study_figure(results, study, kind="heatmaps", over=over), (output,))
        elif output is not None:
            drawn = save_comparison(results, request, output, over=over or "lambda")
            click.echo(f"figure: {drawn}")
        for table in comparison_tables(results, request):
            print_table(terminal(), table)


def _file_name(name: str, kind: FigureKind | None, own: FigureKind) -> str:
    """NAME.png for the study's own kind of figure, NAME-kind.png for another."""
    return f"{name}.png" if kind in (None, own) else f"{name}-{kind}.png"
