"""The command line: parses, calls, prints; no logic of its own.

Heavy imports stand inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

import landscape_study.landscapes  # noqa: F401 - found here, before a user's file of this name can be
from landscape_study.study.environment.interruption import exit_code, interruptible
from landscape_study.study.errors import LandscapeError
from landscape_study.study.printable import printable_lines, without_secrets
from landscape_study.study.spec.engine_names import ENGINE_NAMES, engine_name
from landscape_study.study.spec.metric import METRICS, TOP5

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from landscape_study.study.planning.plan import Plan
    from landscape_study.study.running.pools import Cluster
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.spec.study import FigureKind, Study
    from landscape_study.study.store import Created, PanelProgress, Store
    from landscape_study.study.tasks.data_sets import DataSet

Command = TypeVar("Command", bound=Callable[..., Any])

FULL = (errno.ENOSPC, errno.EDQUOT)
BROKEN_PIPE = 141  # exit code of a command whose reader has gone, as shells have it


class Commands(click.Group):
    """A group of commands that shows a user's mistake as one message, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn a domain error into its message and exit code."""
        with interruptible(insist=True):
            try:
                return super().invoke(ctx)
            except LandscapeError as e:
                click.echo(printable_lines(without_secrets(f"Error: {e}")), err=True)
                ctx.exit(e.exit_code)
            except KeyboardInterrupt:
                with contextlib.suppress(OSError):  # the terminal may be gone
                    click.echo("\nstopped", err=True)
                ctx.exit(exit_code())
            except BrokenPipeError:  # as after `| head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                ctx.exit(BROKEN_PIPE)
            except OSError as e:
                if e.errno not in FULL:
                    raise
                click.echo(f"Error: {e}: free some space; what is recorded is safe", err=True)
                ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Show the commands in the order of their use rather than of the alphabet."""
        return list(self.commands)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --store."""
    return click.option(
        "--store",
        default="sqlite:///results/landscapes.db",
        envvar="LANDSCAPE_STORE",
        show_default=True,
        help="Database URL, or the path of an SQLite file.  [env: LANDSCAPE_STORE]",
    )(command)


def data_option(name: str) -> Callable[[Command], Command]:
    """Add the option `name` that says where data sets lie; workers inherit what it says."""

    def use(ctx: click.Context, param: click.Parameter, folder: Path | None) -> None:
        from landscape_study.study.tasks.data_folder import use_data_folder

        if folder is not None:
            use_data_folder(folder)

    return click.option(
        name,
        metavar="FOLDER",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="LANDSCAPE_DATA",
        callback=use,
        expose_value=False,
        help="Where data sets lie.  [env: LANDSCAPE_DATA; default: the user's cache folder]",
    )


class EngineName(click.Choice[str]):
    """The name of an engine, of today or of former versions."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Today's name."""
        return super().convert(engine_name(value), param, ctx)


@dataclass(frozen=True)
class Training:
    """The options that say where and how to train, and what to show of it."""

    device: str = "auto"
    workers: int | None = None
    chunk: int | None = None
    engine: str | None = None
    dask: str | None = None  # address
    accept_source: bool = False
    no_live: bool = True
    no_witness: bool = False
    rounds: int = 0  # of extension, at most
    no_plot: bool = True


TRAINING = {
    "no_plot": click.option("--no-plot", is_flag=True, help="Draw no figure at the end."),
    "rounds": click.option(
        "--auto-extend",
        "rounds",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Up to N times, extend sides where best cells lie on the border, and train on.",
    ),
    "no_witness": click.option(
        "--no-witness",
        is_flag=True,
        help="At the end, train no cell of each panel again by a plain loop, to compare.",
    ),
    "accept_source": click.option(
        "--accept-source",
        is_flag=True,
        help="Take the source of your own task as it is now: it trains what it did before.",
    ),
    "no_live": click.option(
        "--no-live", is_flag=True, help="Show the progress bar without the live heatmaps."
    ),
    "dask": click.option(
        "--dask",
        metavar="ADDRESS",
        help="Train on the dask cluster whose scheduler is there, as tcp://host:8786.",
    ),
    "engine": click.option(
        "--engine",
        type=EngineName(ENGINE_NAMES),
        help="How cells are trained together.  [default: what is fastest here, by a probe]",
    ),
    "chunk": click.option(
        "--chunk",
        type=click.IntRange(min=1),
        help="Most cells trained together; fixed for a cell once it is in the database.",
    ),
    "workers": click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="How many workers.  [default: one per core, GPU or worker of dask]",
    ),
    "device": click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where to train; auto takes CUDA where there is some.",
    ),
}


def training_options(*names: str) -> Callable[[Command], Command]:
    """Add these options of `Training`, by default all, and hand them over as `training`."""

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def packed(**options: Any) -> None:
            own = {name: options.pop(name) for name in names or TRAINING}
            command(training=Training(**own), **options)

        for name, option in TRAINING.items():
            if not names or name in names:
                packed = option(packed)
        return data_option("--data")(packed)  # type: ignore[return-value]

    return add


def _adapt_to_surroundings() -> None:
    """Write "?" for what cannot be written, and draw into files, whatever is set elsewhere."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    os.environ["MPLBACKEND"] = "Agg"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="landscape-study", prog_name="landscape")
def main() -> None:
    """Study how learning rate α and weight decay λ interact.

    Trains whole α × λ grids for optimizer/regularization pairs into a database, resumes what
    was interrupted, and draws the heatmaps. `landscape run` alone runs the embedded study.
    """
    _adapt_to_surroundings()


@main.command()
@click.argument("study", default="digits-fig2")
@click.option("--name", help="Call the study this.  [default: as the preset or file says]")
@click.option("--task", help="Train this task: a built-in one, or package.module:name.")
@click.option("--pair", "pairs", multiple=True, help="Only this pair; may be given repeatedly.")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds.")
@click.option("--epochs", type=int, help="Budget of every panel.")
@click.option("--batch-size", type=int, help="Batch size.")
@click.option(
    "--schedule",
    help="Schedule of every panel: constant, step, cosine or '{ kind = \"restarts\", t_0 = 10 }'.",
)
@click.option(
    "--alpha", help="Learning rates, e.g. '{ base = 0.1, log2 = [0, -10] }' or '[1, 2]'."
)
@click.option("--lambda", "lambda_", help="Regularization factors, written likewise.")
@store_option
@training_options()
@click.option("--dry-run", is_flag=True, help="Only print cells, chunks, memory and time.")
@click.option(
    "--queue", is_flag=True, help="Only put the cells into the database; see `landscape worker`."
)
def run(
    study: str,
    store: str,
    training: Training,
    dry_run: bool,
    queue: bool,
    **changes: Any,
) -> None:
    """Train STUDY (a preset or a .toml file), and draw its figure.

    A study that is in the database already grows by what is new: cells, seeds, pairs. Then
    all its open cells are trained.

    \b
    Examples:
      landscape run
      landscape run digits-fig2 --seeds 5
      landscape run my-study.toml --store results/mine.db --dry-run
      landscape run --task examples.spirals:spirals --seeds 1
    """  # noqa: D301
    from landscape_study.study.planning.request import Changes, requested_study
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.store import Store

    if queue and training.dask is not None:
        raise click.UsageError("--queue trains nothing: leave out --dask")
    asked = requested_study(study, Changes(**changes))
    plan = _plan(asked, training, store)
    if dry_run:
        _print_plan(plan, store)
        return
    if queue:
        opened = Store(store, create=True)
        created = _create(opened, plan, training)
        new = f"{created.new} new" if created.new else "none of them new"
        click.echo(f"study {asked.name}: {created.total} cells in the database, {new}")
        return
    further = Further(training.rounds, panels=[panel.name for panel in asked.panels])
    _run_plan(plan, Store(store, create=True), further, training)


@main.command()
@click.argument("name", required=False)
@click.option("--task", help="Import path of the study's task, if it is your own.")
@click.option("--retry-failed", is_flag=True, help="Also train the cells that were given up.")
@store_option
@training_options()
def resume(
    name: str | None,
    task: str | None,
    retry_failed: bool,
    store: str,
    training: Training,
) -> None:
    """Go on with study NAME where it was interrupted; by default with the last one started.

    A study of your own task names it again with --task: user code is imported only where the
    command line names it, never because a database says so.
    """
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.store import Store

    opened = Store(store)
    study = resumed_study(opened, name, task)
    if retry_failed:
        click.echo(f"failed cells to be tried again: {opened.retry_failed(study.name)}")
    plan = _plan(study, training, store)
    _run_plan(plan, opened, Further(training.rounds), training)


@main.command()
@click.argument("name")
@click.option("--task", help="Import path of the study's task, if it is your own.")
@click.option(
    "--trust-task", is_flag=True, help="Import whatever task of its user's own the study names."
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="Leave when others hold all that is open.  [default: stay, since they may die]",
)
@store_option
@training_options("device", "workers", "engine", "no_witness")
def worker(
    name: str,
    task: str | None,
    trust_task: bool,
    no_wait: bool,
    store: str,
    training: Training,
) -> None:
    """Train what is open of study NAME, beside others that do so on this or other machines.

    Workers come and go as they like: start one wherever there is room, by hand or in a Slurm
    array (examples/slurm.sh), and stop it with Ctrl-C or SIGTERM. The study must be in the
    database: `landscape run STUDY --queue` puts it there.

    \b
    Examples:
      landscape run digits-fig2 --queue --store postgresql+psycopg://me@server/landscapes
      landscape worker digits-fig2 --store postgresql+psycopg://me@server/landscapes
    """  # noqa: D301
    from landscape_study.study.console.terminal import ProgressLines
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.running.driver import run
    from landscape_study.study.spec.command_line import command_line
    from landscape_study.study.store import Store

    opened = Store(store)
    stored_task = opened.study(name).task if trust_task else task
    plan = _plan(resumed_study(opened, name, stored_task), training, store)
    _warn_of_network(opened)
    _print_plain(_console(), _workers_line(plan, opened))
    waiting = ["--no-wait"] if no_wait else []
    options = (*waiting, *_going_on(training))
    again = command_line("worker", plan.study, opened.display_url, *options)
    with _resumable(opened, name, again):
        before = opened.progress(name)
        run(plan, opened, ProgressLines(_console()), stay=not no_wait)
        _call_witnesses(plan, opened, before, training)


@main.command()
@click.argument("name")
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be repeated.")
@click.option(
    "--side",
    "sides",
    multiple=True,
    help="alpha-low, alpha-high, lambda-low or lambda-high; may be repeated.  "
    "[default: where best cells lie on the border]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="How many values to add beyond each side, in the grid's own ratio.",
)
@click.option("--task", help="Import path of the study's task, if it is your own.")
@store_option
@training_options()
@click.option("--dry-run", is_flag=True, help="Only print cells, chunks, memory and time.")
def extend(
    name: str,
    panels: tuple[str, ...],
    sides: tuple[str, ...],
    steps: int,
    task: str | None,
    store: str,
    training: Training,
    dry_run: bool,
) -> None:
    """Extend the grids of study NAME beyond their border, and train the cells that are new.

    Best cells on the border mean that better ones may lie beyond it. The values added continue
    the grid; cells that are finished are kept.

    \b
    Examples:
      landscape extend digits-fig2
      landscape extend digits-fig2 --panel sgd --side lambda-high --steps 3
    """  # noqa: D301
    from landscape_study.landscapes.statistics.open_sides import sides_to_extend
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.spec.extension import Further, extended_study
    from landscape_study.study.store import Store

    opened = Store(store)
    stored = resumed_study(opened, name, task)
    beyond = sides_to_extend(opened, name, panels, sides)
    if not beyond:
        click.echo(f"study {name}: no best cell lies on a border; name a --side to extend it")
        return
    grown = extended_study(stored, beyond, steps)
    click.echo(f"extending {_sides(beyond)}")
    plan = _plan(grown, training, store)
    if dry_run:
        _print_plan(plan, store)
        return
    _run_plan(plan, opened, Further(training.rounds, steps, panels, sides), training)


@main.command()
@click.argument("name", required=False)
@store_option
def status(name: str | None, store: str) -> None:
    """Show how far study NAME is, who trains it and what failed; by default every study."""
    from landscape_study.study.console.terminal import print_table, workers_table
    from landscape_study.study.store import Store

    opened, console = Store(store), _console()

    def show(study: Study) -> None:
        _print_status(console, study, opened)
        if workers := opened.workers(study.name):
            print_table(console, workers_table(workers))
        _print_failures(study, opened)

    if name:
        show(opened.study(name))
    else:
        _each_study(opened, show)


@main.command("list")
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

    _each_study(opened, show)


@main.command()
@click.argument("name")
@store_option
def show(name: str, store: str) -> None:
    """Print study NAME as TOML, and who ran it with which versions; or a preset's TOML."""
    from landscape_study.study.console.terminal import run_lines
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store import Store
    from landscape_study.study.store.missing_database import holds

    if name in PRESETS and not holds(store, name):
        click.echo(load_preset(name).to_toml(), nl=False)
        return
    opened = Store(store)
    click.echo(opened.study(name).to_toml(), nl=False)
    for line in run_lines(opened.runs(name)):
        click.echo(f"# {line}")


@main.command()
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
    type=click.FloatRange(min=0.01, max=100),
    help="Points of error above the best that the colours cover.  [default: 3]",
)
@click.option("--cmap", help="Matplotlib colour map; jet is the paper's.")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    help="How many of the best cells to circle, and to look for on the border.  [default: 10]",
)
@click.option("--contours", is_flag=True, help="Draw lines of equal error.")
@click.option(
    "--reference",
    type=click.Choice(["fig2"]),
    help="Draw this figure of the paper below, and mark its best cells in ours.",
)
@click.option(
    "--kind",
    type=click.Choice(["heatmaps", "slices", "generalization", "anytime", "schedule"]),
    help="slices: error against λ, a line for each α; generalization: against decay and training "
    "loss; anytime: the best runs by epoch; schedule: η by epoch.  [default: as the study says]",
)
@click.option(
    "--metric",
    multiple=True,
    type=click.Choice([*METRICS, TOP5]),
    help="What anytime figures show; may be repeated.  [default: as the study says]",
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
    from landscape_study.landscapes.figures.heatmap_record import CONTOURS
    from landscape_study.landscapes.figures.study_figure import schedule_figure, study_figure
    from landscape_study.landscapes.reporting.sentences import figure_lines
    from landscape_study.study.planning.request import resolved_preset
    from landscape_study.study.spec.presets import PRESETS, load_preset
    from landscape_study.study.store import Store
    from landscape_study.study.store.database import figures_folder
    from landscape_study.study.store.missing_database import holds

    options["contours"] = CONTOURS if contours else ()
    if name in PRESETS and not holds(store, name):
        own = load_preset(name).figure.kind
        if (kind or own) == "schedule":
            schedules = schedule_figure(resolved_preset(name), panels, **options)
            _save(schedules, outputs or (figures_folder(store) / _file_name(name, kind, own),))
            return
    opened = Store(store)
    figure = study_figure(opened, name, panels, kind=kind, **options)
    for line in figure_lines(opened, name, panels, kind=kind, top=options["top"]):
        click.echo(line)
    own = opened.study(name).figure.kind
    _save(figure, outputs or (opened.folder / _file_name(name, kind, own),))


@main.command()
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


@main.command()
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


@main.command()
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
    help="Also draw both and their difference into this .png, .pdf or .svg file.",
)
@store_option
def compare(
    name: str,
    panel: str | None,
    other: str | None,
    reference: str | None,
    output: Path | None,
    store: str,
) -> None:
    """Say how coupled the panels of study NAME are, and how PANEL and OTHER differ.

    OTHER is a panel of the same study, or STUDY/PANEL of another one. Without PANEL, all panels
    that differ in one setting are compared.

    \b
    Examples:
      landscape compare digits-fig2
      landscape compare digits-fig2 adam adamw -o adam-adamw.pdf
      landscape compare digits-fig2 sgd --reference fig2
    """  # noqa: D301
    from landscape_study.landscapes.reporting.comparison_request import (
        Request,
        comparison_tables,
        save_comparison,
    )
    from landscape_study.study.console.terminal import print_table
    from landscape_study.study.store import Store

    opened = Store(store)
    request = Request(name, panel, other, reference)
    if output is not None:
        click.echo(f"figure: {save_comparison(opened, request, output)}")
    for table in comparison_tables(opened, request):
        print_table(_console(), table)


@main.command()
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


@main.command()
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
    from landscape_study.study.console.terminal import merged_line
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
        click.echo(merged_line(merged, command_line("resume", study, here.display_url)))


@main.command()
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


@main.command()
def pairs() -> None:
    """List the optimizer/regularization pairs."""
    from landscape_study.study.pairs.placements import PLACEMENTS
    from landscape_study.study.pairs.registry import PAIRS

    for pair in PAIRS.values():
        click.echo(f"{pair.name:12} {pair.title:28} {PLACEMENTS[pair.placement]}")


@main.command()
def tasks() -> None:
    """List the built-in tasks."""
    from landscape_study.study.tasks import TASKS

    for name, entry in TASKS.items():
        needs = f" (`landscape data {entry.data_set}`)" if entry.data_set else ""
        click.echo(f"{name:16} {entry.about}{needs}")
    click.echo(
        "your own:        --task package.module:name, a landscape_study.Task; see examples/"
    )


@main.command()
def presets() -> None:
    """List the studies that come with the tool."""
    from landscape_study.study.spec.presets import PRESETS

    for name, about in PRESETS.items():
        click.echo(f"{name:21} {about}")


def _fetch(data_set: DataSet) -> None:
    """Bring the data set into the data folder, with a bar."""
    from landscape_study.study.console.terminal import download_bar
    from landscape_study.study.tasks.download import fetch

    try:
        with download_bar(_console(), data_set.name) as show:
            fetch(data_set, show)
    except KeyboardInterrupt:
        click.echo(f"\nstopped; {data_set.name} goes on from here when asked again", err=True)
        raise SystemExit(exit_code()) from None


def _console() -> Console:
    from rich.console import Console

    return Console()


def _each_study(store: Store, show: Callable[[Study], None]) -> None:
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


def _print_plan(plan: Plan, store: str) -> None:
    from landscape_study.study.console.terminal import plan_table, print_table
    from landscape_study.study.planning.plan import estimate_seconds
    from landscape_study.study.store.missing_database import missing_cells

    missing = missing_cells(store, plan.study)
    seconds = estimate_seconds(plan, missing)
    print_table(_console(), plan_table(plan, missing, seconds))


def _plan(study: Study, training: Training, store: str) -> Plan:
    from landscape_study.study.console.terminal import trial_bar
    from landscape_study.study.environment.cache import why_forgetful
    from landscape_study.study.planning.plan import make_plan

    if why := why_forgetful():
        click.echo(f"warning: {why}", err=True)
    workers = training.workers
    if training.dask is not None:
        from landscape_study.study.running.pools import cluster_size

        size = cluster_size(training.dask, store)
        workers = min(workers or size, size)
    return make_plan(
        study,
        device=training.device,
        workers=workers,
        chunk=training.chunk,
        engine=training.engine,
        store=store,
        tell=click.echo,
        watch=functools.partial(trial_bar, _console()),
    )


def _run_plan(plan: Plan, store: Store, further: Further, training: Training) -> None:
    """Train the study, then as often as asked what lies beyond its borders; report, draw."""
    console, name = _console(), plan.study.name
    _warn_of_network(store)
    _train(console, plan, store, training)
    from landscape_study.landscapes.statistics.open_sides import (
        rounds,  # slow to import: training need not wait for it
    )
    from landscape_study.study.spec.extension import extended_study

    beyond_each = rounds(store, name, further.rounds, panels=further.panels, sides=further.sides)
    for number, beyond in enumerate(beyond_each, start=1):
        where = f"best cells lie on a border: extending {_sides(beyond)}"
        click.echo(f"round {number} of {further.rounds}: {where}")
        grown = extended_study(store.study(name), beyond, further.steps)
        left = dataclasses.replace(training, rounds=further.rounds - number)
        _train(console, dataclasses.replace(plan, study=grown), store, left)
    _print_status(console, store.study(name), store)
    _print_failures(store.study(name), store)
    _print_findings(store, name)
    if not training.no_plot:
        from landscape_study.landscapes.figures.study_figure import study_figure

        _save(study_figure(store, name), (store.folder / f"{name}.png",))


def _create(store: Store, plan: Plan, training: Training) -> Created:
    """Put the study into the store."""
    accepted = training.accept_source
    return store.create(plan.study, plan.identity, plan.chunks, accept_source=accepted)


def _train(console: Console, plan: Plan, store: Store, training: Training) -> None:
    """Put the study into the store and train what is open."""
    from landscape_study.study.console.live import LiveView, can_show
    from landscape_study.study.console.terminal import ProgressBar, choice_lines
    from landscape_study.study.running.driver import run
    from landscape_study.study.spec.command_line import command_line

    name = plan.study.name
    created = _create(store, plan, training)
    before = store.progress(name)
    finished = sum(p.finished for p in before)
    _print_plain(console, _workers_line(plan, store))
    for line in choice_lines(plan):
        _print_plain(console, line)
    shown = not training.no_live and can_show(console)
    view = LiveView(created.study, lambda: store.means(name)) if shown else None
    again = command_line("resume", created.study, store.display_url, *_going_on(training))
    with _cluster(training.dask) as pool, _resumable(store, name, again):
        with ProgressBar(console, created.total, finished, view) as bar:
            run(plan, store, bar, pool)
        _call_witnesses(plan, store, before, training)


def _call_witnesses(
    plan: Plan, store: Store, before: list[PanelProgress], training: Training
) -> None:
    """Train a cell again of each panel that is done now, unless that is not wanted."""
    if training.no_witness:
        return
    from landscape_study.study.console.terminal import trial_bar
    from landscape_study.study.running.witness import call_witnesses, newly_done

    console = _console()
    name = plan.study.name
    witnessed = {witness.panel for witness in store.witnesses(name)}
    panels = newly_done(before, store.progress(name), witnessed)
    tell = functools.partial(_print_plain, console)
    call_witnesses(plan, store, panels, tell, functools.partial(trial_bar, console))


def _cluster(address: str | None) -> contextlib.AbstractContextManager[Cluster | None]:
    """The dask cluster to train on, if one is named."""
    from landscape_study.study.running.pools import Cluster

    return contextlib.nullcontext() if address is None else contextlib.closing(Cluster(address))


def _going_on(training: Training) -> Iterator[str]:
    """The options of an interrupted command that whoever goes on with it wants again."""
    options = {
        "--device": None if training.device == "auto" else training.device,
        "--workers": training.workers,
        "--engine": training.engine,
        "--dask": training.dask,
        "--auto-extend": training.rounds or None,
    }
    for name, value in options.items():
        if value is not None:
            yield from (name, str(value))
    if training.no_witness:
        yield "--no-witness"


def _workers_line(plan: Plan, store: Store) -> str:
    """What is to be done, by whom and how."""
    progress, workers = store.progress(plan.study.name), len(plan.layout.devices)
    total, finished = sum(p.total for p in progress), sum(p.finished for p in progress)
    return (
        f"study {plan.study.name}: {total} cells, {finished} of them finished; "
        f"{workers} worker{'s' * (workers > 1)}, engine {plan.choice.engine}; "
        f"database {store.name}"
    )


def _print_plain(console: Console, line: str) -> None:
    """Print a line as it is, which may hold a user's own words."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _warn_of_network(store: Store) -> None:
    """Say so if the database lies where SQLite cannot lock."""
    kind = store.database.network_file_system()
    if kind is not None:
        click.echo(
            f"warning: {store.name} lies on a network file system ({kind}), where SQLite's locks "
            "may fail: move it to a local disk, or take PostgreSQL for several machines",
            err=True,
        )


def _print_status(console: Console, study: Study, store: Store) -> None:
    """Show how far each panel is, and how its witness lies."""
    from landscape_study.study.console.terminal import print_table, status_table, witness_lines

    witnesses = store.witnesses(study.name)
    print_table(console, status_table(study, store.progress(study.name), witnesses))
    noise = store.seed_noise(study.name) if witnesses else {}
    for line in witness_lines(study, witnesses, noise):
        _print_plain(console, line)


def _print_failures(study: Study, store: Store) -> None:
    """Say which cells were given up."""
    from landscape_study.study.console.terminal import failure_lines
    from landscape_study.study.spec.command_line import command_line

    retry = command_line("resume", study, store.display_url, "--retry-failed")
    for line in failure_lines(store.failures(study.name), retry):
        click.echo(line)


def _print_findings(store: Store, name: str) -> None:
    """Say how coupled each panel is, and what the study's figure says."""
    from landscape_study.landscapes.reporting.sentences import figure_lines, verdict_lines

    for line in (*verdict_lines(store, name), *figure_lines(store, name)):
        click.echo(line)


def _sides(beyond: list[tuple[str, str]]) -> str:
    return ", ".join(f"{panel} {side}" for panel, side in beyond)


@contextlib.contextmanager
def _resumable(store: Store, name: str, again: str) -> Iterator[None]:
    """On Ctrl-C, say what is safe and that `again` is the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        finished = sum(p.finished for p in store.progress(name))
        click.echo(
            f"\nstopped; {finished} finished cells are in {store.name}\ngo on with:  {again}",
            err=True,
        )
        raise SystemExit(exit_code()) from None


def _file_name(name: str, kind: FigureKind | None, own: FigureKind) -> str:
    """NAME.png for the study's own kind of figure, NAME-kind.png for another."""
    return f"{name}.png" if kind in (None, own) else f"{name}-{kind}.png"


def _save(figure: Figure, outputs: tuple[Path, ...]) -> None:
    from landscape_study.landscapes.figures.style import save

    for output in outputs:
        save(figure, output)
        click.echo(f"figure: {output}")


if __name__ == "__main__":
    main()
