"""Commands that train: run, resume, worker, extend, refine."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from landscape_study.commands.output import (
    print_failures,
    print_findings,
    print_status,
    save_figure,
    terminal,
)
from landscape_study.commands.shared_options import (
    Shown,
    store_option,
    study_options,
    training_options,
    trust_option,
)
from landscape_study.study.environment.interruption import exit_code
from landscape_study.study.running.processes import prepare

SHOWING = "landscape_study.landscapes.reporting.sentences"
DRAWING = "landscape_study.landscapes.figures.study_figure"

if TYPE_CHECKING:
    from landscape_study.study.console.terminal_audience import TerminalAudience
    from landscape_study.study.planning.objective_plan import AnyPlan
    from landscape_study.study.planning.settings import RunSettings
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.spec.study import Study
    from landscape_study.study.store import Store


@click.command()
@click.argument("words", metavar="[STUDY | -- COMMAND...]", nargs=-1)
@study_options
@store_option
@training_options()
@click.option("--dry-run", is_flag=True, help="Only print cells, chunks, memory and time.")
@click.option(
    "--queue", is_flag=True, help="Only put the cells into the database; see `landscape worker`."
)
def run(
    words: tuple[str, ...],
    store: str,
    settings: RunSettings,
    shown: Shown,
    rounds: int,
    dry_run: bool,
    queue: bool,
    **changes: Any,
) -> None:
    """Train STUDY (a preset or a .toml file, by default digits-fig2), and draw its figure.

    After -- stands a command of your own that trains one cell: {alpha}, {lambda}, {seed} and
    {pair} are filled in, and it prints the metric as JSON, {"val_loss": 0.41}. Or --task names
    a function of yours that does, def train(cell, run), marked with @objective. Either takes an
    --alpha, a --lambda and a --metric.

    A study that is in the database already grows by what is new: cells, seeds, pairs. Then
    all its open cells are trained.

    \b
    Examples:
      landscape run
      landscape run digits-fig2 --seeds 5
      landscape run my-study.toml --store results/mine.db --dry-run
      landscape run digits-fig2 --name few --sampler verdict --trials 120
      landscape run digits-fig2 --name budgets --epochs 15,60,240
      landscape run --pair adamw --name b2 --alpha 0.01 --axis 'beta2=[0.9, 0.99, 0.999]'
      landscape run --task examples.spirals:spirals --seeds 1
      landscape run --task train.py:train --alpha '[1, 2]' --lambda '[0, 1]' --metric loss
      landscape run --alpha '[1, 2]' --lambda '[0, 1]' --metric loss -- ./a.sh {alpha} {lambda}
    """  # noqa: D301
    if not (queue or dry_run):
        prepare(settings)
    from landscape_study.study.errors import SpecError
    from landscape_study.study.planning.queued_plan import plan_queue
    from landscape_study.study.planning.request import Changes, asked_study
    from landscape_study.study.running.training_run import put
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    if queue and settings.dask is not None:
        raise click.UsageError("--queue trains nothing: leave out --dask")
    with no_results(words[0] if len(words) == 1 else None, SpecError):
        asked = asked_study(words, Changes(**changes))
    if queue and not dry_run:
        queued = plan_queue(asked, settings)
        opened = Store(store, create=True)
        created = put(queued, opened, settings)
        there, most = opened.count(asked.name), sum(p.total for p in opened.progress(asked.name))
        new = f"{created.new} new" if created.new else "none of them new"
        later = f"; up to {most - there} more are asked for later" if most > there else ""
        click.echo(f"study {asked.name}: {there} cells in the database, {new}{later}")
        return
    plan = _plan(asked, settings, store)
    if dry_run:
        _print_plan(plan, store)
        return
    further = Further(rounds, panels=[panel.name for panel in asked.panels])
    _train_and_tell(plan, Store(store, create=True), further, settings, shown)


@click.command()
@click.argument("name", required=False)
@click.option("--task", help="The name of the study's task or function, if it is your own.")
@click.option("--retry-failed", is_flag=True, help="Also train the cells that were given up.")
@trust_option
@store_option
@training_options()
def resume(
    name: str | None,
    task: str | None,
    retry_failed: bool,
    trust_command: bool,
    store: str,
    settings: RunSettings,
    shown: Shown,
    rounds: int,
) -> None:
    """Go on with study NAME where it was interrupted; by default with the last one created.

    A study of your own task names it again with --task: user code is imported only where the
    command line names it, never because a database says so.
    """
    prepare(settings)
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.spec.extension import Further
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    with no_results(name):
        opened = Store(store)
        study = resumed_study(opened, name, task, trust_command=trust_command)
    if retry_failed:
        click.echo(f"failed cells to be tried again: {opened.retry_failed(study.name)}")
    plan = _plan(study, settings, store)
    _train_and_tell(plan, opened, Further(rounds), settings, shown)


@click.command()
@click.argument("name")
@click.option("--task", help="The name of the study's task or function, if it is your own.")
@click.option(
    "--trust-task", is_flag=True, help="Import whatever task of its user's own the study names."
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="Leave when others hold all that is open.  [default: stay, since they may die]",
)
@click.option(
    "--cells",
    type=click.IntRange(min=1),
    help="Leave after so many cells of each worker, or when none is free: for jobs of one cell.",
)
@trust_option
@store_option
@training_options(
    "device", "workers", "per_gpu", "engine", "no_witness", "timeout", "memory", "keep_folders"
)
def worker(
    name: str,
    task: str | None,
    trust_task: bool,
    no_wait: bool,
    cells: int | None,
    trust_command: bool,
    store: str,
    settings: RunSettings,
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
    prepare(settings)
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.running.training_run import join
    from landscape_study.study.spec.command_line import command_line
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    with no_results(name):
        opened = Store(store)
        stored_task = opened.study(name).task if trust_task else task
        stored = resumed_study(opened, name, stored_task, trust_command=trust_command)
    plan = _plan(stored, settings, store)
    limited = ["--cells", str(cells)] if cells else []
    options = (*(["--no-wait"] if no_wait else []), *limited, *settings.options())
    again = command_line("worker", plan.study, opened.display_url, *options)
    with _resumable(opened, name, again):
        stay = not no_wait and cells is None
        join(plan, opened, settings, _audience(as_log=True), stay=stay, cells=cells)


@click.command()
@click.argument("name")
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be repeated.")
@click.option(
    "--side",
    "sides",
    multiple=True,
    help="alpha-low, alpha-high, lambda-low, lambda-high, or of another axis as beta2-high; may "
    "be repeated.  "
    "[default: where best cells lie on the border]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="How many values to add beyond each side, in the grid's own ratio.",
)
@click.option("--task", help="The name of the study's task or function, if it is your own.")
@trust_option
@store_option
@training_options()
@click.option("--dry-run", is_flag=True, help="Only print cells, chunks, memory and time.")
def extend(
    name: str,
    panels: tuple[str, ...],
    sides: tuple[str, ...],
    steps: int,
    task: str | None,
    trust_command: bool,
    store: str,
    settings: RunSettings,
    shown: Shown,
    rounds: int,
    dry_run: bool,
) -> None:
    """Extend the grids of study NAME beyond their border, and train the cells that are new.

    Best cells on the border mean that better ones may lie beyond it. The values added continue
    the grid; cells that are finished are kept. A sampler that asks for the cells gets trials in
    proportion.

    \b
    Examples:
      landscape extend digits-fig2
      landscape extend digits-fig2 --panel sgd --side lambda-high --steps 3
    """  # noqa: D301
    if not dry_run:
        prepare(settings)
    from landscape_study.landscapes.growing.extending import (
        NOTHING_BEYOND,
        sides_line,
        sides_to_extend,
    )
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.spec.extension import Further, extended_study
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    with no_results(name):
        opened = Store(store)
        stored = resumed_study(opened, name, task, trust_command=trust_command)
    beyond = sides_to_extend(opened, name, panels, sides)
    if not beyond:
        click.echo(NOTHING_BEYOND.format(name=name))
        return
    click.echo(f"extending {sides_line(beyond)}")
    plan = _plan(extended_study(stored, beyond, steps), settings, store)
    further = Further(rounds, steps, panels, sides)
    _print_or_train(plan, opened, further, settings, shown, dry_run=dry_run)


@click.command()
@click.argument("name")
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be repeated.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="Around how many best cells.  [default: 10, or the best quarter of few]",
)
@click.option("--task", help="The name of the study's task or function, if it is your own.")
@trust_option
@store_option
@training_options()
@click.option("--dry-run", is_flag=True, help="Only print cells, chunks, memory and time.")
def refine(
    name: str,
    panels: tuple[str, ...],
    top: int | None,
    task: str | None,
    trust_command: bool,
    store: str,
    settings: RunSettings,
    shown: Shown,
    rounds: int,
    dry_run: bool,
) -> None:
    """Add cells between the best ones of study NAME, and train them.

    Around each of the best cells, the places half a step of the grid away in α, λ or both get a
    cell; where a sampler asked for cells anywhere, those half an octave away. Refined again, a
    study gets cells at half of that around its new best ones.

    \b
    Examples:
      landscape refine digits-fig2
      landscape refine digits-fig2 --panel adam --top 3 --dry-run
    """  # noqa: D301
    if not dry_run:
        prepare(settings)
    from landscape_study.landscapes.growing.refining import (
        NOTHING_BETWEEN,
        cells_to_refine,
        refining_line,
    )
    from landscape_study.study.planning.request import resumed_study
    from landscape_study.study.spec.extension import Further, refined_study
    from landscape_study.study.spec.results_files import no_results
    from landscape_study.study.store import Store

    with no_results(name):
        opened = Store(store)
        stored = resumed_study(opened, name, task, trust_command=trust_command)
    between = cells_to_refine(opened, name, panels, top)
    if not between:
        click.echo(NOTHING_BETWEEN.format(name=name))
        return
    click.echo(refining_line(between))
    plan = _plan(refined_study(stored, between), settings, store)
    further = Further(rounds, panels=panels)
    _print_or_train(plan, opened, further, settings, shown, dry_run=dry_run)


def _print_or_train(
    plan: AnyPlan,
    store: Store,
    further: Further,
    settings: RunSettings,
    shown: Shown,
    *,
    dry_run: bool,
) -> None:
    """Print the plan of a grown study, or train it."""
    if dry_run:
        _print_plan(plan, store.url)
    else:
        _train_and_tell(plan, store, further, settings, shown)


def _print_plan(plan: AnyPlan, store: str) -> None:
    from landscape_study.study.console.lines import choice_lines, objective_plan_line
    from landscape_study.study.console.text_tables import plan_table, print_table
    from landscape_study.study.planning.objective_plan import ObjectivePlan
    from landscape_study.study.planning.plan import estimate_seconds
    from landscape_study.study.store.prior_state import missing_cells

    missing = missing_cells(store, plan.study)
    if isinstance(plan, ObjectivePlan):
        click.echo(objective_plan_line(plan, sum(map(sum, missing.values()))))
        return
    seconds = estimate_seconds(plan, missing)
    print_table(terminal(), plan_table(plan, missing, seconds))
    for line in choice_lines(plan):
        click.echo(line)


def _train_and_tell(
    plan: AnyPlan, store: Store, further: Further, settings: RunSettings, shown: Shown
) -> None:
    """Train the study, then as often as asked what lies beyond its borders; report, draw."""
    name, needed = plan.study.name, (SHOWING,) if shown.no_plot else (SHOWING, DRAWING)
    audience = _audience(live=not shown.no_live, needed=needed)
    _train(plan, store, settings, audience, further.rounds)
    from landscape_study.landscapes.growing.extending import go_beyond_borders

    def train(grown: Study, left: int) -> None:
        _train(dataclasses.replace(plan, study=grown), store, settings, audience, left)

    go_beyond_borders(store, name, further, train, audience.tell)
    print_status(terminal(), store.study(name), store)
    print_failures(store.study(name), store)
    print_findings(store, name)
    if not shown.no_plot:
        from landscape_study.landscapes.figures.study_figure import study_figure

        save_figure(study_figure(store, name), (store.folder / f"{name}.png",))


def _train(
    plan: AnyPlan, store: Store, settings: RunSettings, audience: TerminalAudience, rounds: int
) -> None:
    """Train the study; interrupted, say how to go on."""
    from landscape_study.study.running.training_run import train
    from landscape_study.study.spec.command_line import command_line

    rest = ("--auto-extend", str(rounds)) if rounds else ()
    options = (*settings.options(), *rest)
    again = command_line("resume", plan.study, store.display_url, *options)
    with _resumable(store, plan.study.name, again):
        train(plan, store, settings, audience)


def _plan(study: Study, settings: RunSettings, store: str) -> AnyPlan:
    from landscape_study.study.running.training_run import planned

    return planned(study, settings, store, _audience())


def _audience(**how: Any) -> TerminalAudience:
    from landscape_study.study.console.terminal_audience import TerminalAudience

    return TerminalAudience(terminal(), **{"live": False, **how})


@contextlib.contextmanager
def _resumable(store: Store, name: str, again: str) -> Iterator[None]:
    """On Ctrl-C, say what is safe and that `again` is the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if name not in store.names():  # it was still being created
            raise
        finished = sum(p.finished for p in store.progress(name))
        click.echo(
            f"\nstopped; {finished} finished cells are in {store.name}\ngo on with:  {again}",
            err=True,
        )
        raise SystemExit(exit_code()) from None
