"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.cell_numbers import OTHERS
from landscape_study.study.spec.design import LEVEL, SAMPLERS
from landscape_study.study.spec.engine_names import ENGINE_NAMES, engine_name
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.pruning import PRUNERS

Command = TypeVar("Command", bound=Callable[..., Any])


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --store."""
    return click.option(
        "--store",
        default="sqlite:///results/landscapes.db",
        envvar="LANDSCAPE_STORE",
        show_default=True,
        help="Database URL, or the path of an SQLite file.  [env: LANDSCAPE_STORE]",
    )(command)


trust_option = click.option(
    "--trust-command",
    is_flag=True,
    help="Run whatever code of its user's own the study names: command, sampler, pruner, rule, "
    "optimizer.",
)
names_argument = click.argument("names", metavar="NAME|FILE...", nargs=-1, required=True)


def over_option(*, default: str) -> Callable[[Command], Command]:
    """Add --over; its help says what the `default` is."""
    return click.option(
        "--over",
        type=click.Choice(get_args(Over)),
        help="What heatmaps have to the right: λ, or how many epochs the weights remember: "
        f"1/(α·λ·steps of an epoch) where α multiplies the decay.  [default: {default}]",
    )


ROWS = {
    "where": click.option(
        "--where",
        "column_where",
        metavar="CONDITION",
        help="Of a file: only rows that fulfil it, as \"state == 'COMPLETE' and epochs >= 10\".",
    ),
    "fidelity": click.option(
        "--fidelity",
        "column_fidelity",
        metavar="COLUMN",
        help="Of a file with several rows a run: the column of epochs, steps or budgets.",
    ),
    "keep": click.option(
        "--keep",
        "column_keep",
        type=click.Choice(["last", "best", "each"]),
        help="Of a file with several rows a run: which row counts; each is a panel.  "
        "[default: last]",
    ),
}


def columns_options(
    *, metric: bool = True, panel: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say which column of a file is what; hand over `asked`.

    Args:
        metric: whether --metric is one of them, or the command's own.
        panel: whether --panel says which column tells panels apart, as --panels-by does.
    """
    named = {
        "--alpha": ("alpha", "α"),
        "--lambda": ("lambda_", "λ"),
        **({"--metric": ("metric", "the metric")} if metric else {}),
        "--seed": ("seed", "the seed"),
        "--panels-by": ("panel", "the optimizer, or what else tells panels apart"),
    }
    also = {"--panels-by": ("--panel",)} if panel else {}
    options = [
        *(
            click.option(
                *also.get(option, ()),
                option,
                f"column_{key}",
                metavar="COLUMN",
                help=f"Of a file: the column of {what}.",
            )
            for option, (key, what) in named.items()
        ),
        *(
            click.option(
                f"--{goal}",
                "column_goal",
                flag_value=goal,
                help=f"Of a file: {way} of the metric is better.",
            )
            for goal, way in {"minimize": "less", "maximize": "more"}.items()
        ),
        click.option(
            "--matters",
            "column_matters",
            type=click.FloatRange(min=0, min_open=True),
            help="Of a file: the difference of the metric below which you would not care.",
        ),
        *ROWS.values(),
    ]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def packed(**given: Any) -> None:
            own = [key for key in given if key.startswith("column_")]
            said = {key.removeprefix("column_"): given.pop(key) for key in own}
            asked = {key: value for key, value in said.items() if value is not None}
            command(asked=asked, **given)

        wrapped: Callable[..., Any] = packed
        for option in reversed(options):  # the last one added stands first in the help
            wrapped = option(wrapped)
        return wrapped

    return add


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
class Shown:
    """The options that say what to show of a run."""

    no_live: bool = False
    no_plot: bool = False


def _axes_by_name(
    ctx: click.Context, param: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    """The values of axes as they were written, by the name of the number."""
    found: dict[str, str] = {}
    for text in given:
        name, is_axis, values = text.partition("=")
        if not is_axis or not values.strip():
            raise click.BadParameter(f"{text}: write it as in beta2=[0.9,0.99]", ctx, param)
        if name.strip() in found:
            raise click.BadParameter(f"{name} is given twice: give it once", ctx, param)
        found[name.strip()] = values
    return found


STUDY = (
    click.option("--name", help="Call the study this.  [default: as the preset or file says]"),
    click.option(
        "--task",
        help="Train this task: a built-in one, or yours: FILE.py:name or package.module:name.",
    ),
    click.option(
        "--pair",
        "pairs",
        multiple=True,
        help="Only this pair, of `landscape pairs` or yours: FILE.py:Rule-scaled; may be given "
        "repeatedly.",
    ),
    click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds."),
    click.option(
        "--epochs",
        metavar="N[,N...]",
        help="Budget of every panel. Of several, as 15,60,240, the cheapest is trained first, "
        "and each other one on the best third of the cells before it.",
    ),
    click.option("--batch-size", type=int, help="Batch size."),
    click.option(
        "--schedule",
        help="Schedule of every panel: cosine, linear, step, constant, inverse-sqrt, wsd, or a "
        "table such as '{ kind = \"cosine\", warmup = 0.05 }'.",
    ),
    click.option(
        "--sampler",
        help="Ask for cells between the ends of the axes, in the place of whole grids: "
        f"{', '.join(SAMPLERS)}, or a sampler of Optuna's as package.module:Name.",
    ),
    click.option(
        "--trials",
        type=click.IntRange(min=1),
        help="Trainings that --sampler may ask for in each panel, each seed of a cell one.",
    ),
    click.option(
        "--until",
        type=click.FloatRange(min=50, max=100, max_open=True),
        metavar="PERCENT",
        help="At which level a verdict must stand for --sampler verdict to stop before its trials "
        f"are spent.  [default: {LEVEL:g}]",
    ),
    click.option(
        "--prune",
        metavar="PRUNER",
        help=f"Stop hopeless cells before their end: {', '.join(PRUNERS)}, a pruner of Optuna's "
        "as package.module:Name, a table as in a study file, or none.",
    ),
    click.option(
        "--alpha", help="Learning rates, e.g. '{ base = 0.1, log2 = [0, -10] }' or '[1, 2]'."
    ),
    click.option("--lambda", "lambda_", help="Regularization factors, written likewise."),
    click.option(
        "--axis",
        "axes",
        multiple=True,
        metavar="NAME=VALUES",
        callback=_axes_by_name,
        help=f"Another number as an axis: {', '.join(OTHERS)}. A panel has two: give --alpha or "
        "--lambda one number, or both.",
    ),
    click.option("--metric", help="What the landscape is of: test_error, test_loss, …"),
    click.option(
        "--pattern",
        metavar="REGEX",
        help="Finds the metric in what a command prints, in its group: 'loss=(\\S+)'.",
    ),
    click.option("--maximize", "goal", flag_value="maximize", help="More of it is better."),
    click.option(
        "--matters",
        type=click.FloatRange(min=0, min_open=True),
        help="The difference of the metric below which you would not care.",
    ),
)


def study_options(command: Command) -> Command:
    """Add the options that say what is trained, as `planning.request.Changes` names them."""
    for option in reversed(STUDY):  # the last one added stands first in the help
        command = option(command)
    return command


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
        help="Take the source of your own training and rules as it is now: it trains what it did "
        "before.",
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
    "keep_folders": click.option(
        "--keep-folders",
        type=click.FloatRange(min=0, min_open=True),
        metavar="GB",
        help="Of a command or function: keep folders of finished runs, the newest, so many GB.",
    ),
    "memory": click.option(
        "--memory",
        type=click.FloatRange(min=0, min_open=True),
        metavar="GB",
        help="Of a command or function: end a run that takes more; its cell failed.",
    ),
    "timeout": click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Of a command or function: end a run that takes longer; its cell failed.",
    ),
    "per_gpu": click.option(
        "--per-gpu",
        type=click.IntRange(min=1),
        metavar="N",
        help="So many workers on each GPU.  [default: one]",
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
    """Add the options of a run, or those named; hand over `settings`, `shown`, `rounds`."""

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def packed(**options: Any) -> None:
            own = {name: options.pop(name) for name in names or TRAINING}
            if not names:
                options["rounds"] = own.pop("rounds")
                options["shown"] = Shown(own.pop("no_live"), own.pop("no_plot"))
            settings = RunSettings(witness=not own.pop("no_witness", False), **own)
            command(settings=settings, **options)

        for name, option in TRAINING.items():
            if not names or name in names:
                packed = option(packed)
        return data_option("--data")(packed)  # type: ignore[return-value]

    return add
