"""Landscapes in one call, from Python: what `landscape plot`, `report`, `compare` and others do.

Each function takes a database as a `Store`, its URL or its path (None for the default one, see
`study.study_calls`), and the name of a study in it. What it may raise is a
`study.errors.LandscapeError`, whose message says what to do. The examples show the study `mine`:

>>> from landscape_study import study
>>> grid = {"pairs": ["adamw"], "alpha": [0.01, 0.02, 0.04], "lambda_": [0, 0.001, 0.002, 0.004]}
>>> mine = study.run(name="mine", store="mine.db", quiet=True, seeds=1, epochs=1, **grid)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from landscape_study.landscapes.figures.study_figure import schedule_figure, study_figure
from landscape_study.landscapes.growing.extending import (
    NOTHING_BEYOND,
    go_beyond_borders,
    sides_line,
    sides_to_extend,
)
from landscape_study.landscapes.growing.refining import (
    NOTHING_BETWEEN,
    cells_to_refine,
    refining_line,
)
from landscape_study.landscapes.reading.cube import cube as whole_cube
from landscape_study.landscapes.reading.exports import What, write_export
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.file_results import store_results
from landscape_study.landscapes.reading.frames import cells_frame, curves_frame, mechanism_frame
from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.landscapes.reading.opening import read_results, results_of
from landscape_study.landscapes.reading.panels import PanelData, study_panels
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reading.understood import tell
from landscape_study.landscapes.reporting import page
from landscape_study.landscapes.reporting.comparison_request import Request, compared
from landscape_study.landscapes.reporting.law_request import (
    LawRequest,
    scaling_laws,
    several_results,
)
from landscape_study.landscapes.reporting.law_tables import LawTable, law_frame
from landscape_study.landscapes.reporting.verdict_frame import comparison_frame, verdict_frame
from landscape_study.study import study_calls
from landscape_study.study.objectives.objective import named
from landscape_study.study.pairs.published_laws import Number
from landscape_study.study.planning.request import resolved_preset, resumed_study
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.spec.extension import STEPS, Further, extended_study, refined_study
from landscape_study.study.spec.figure_kinds import FigureKind
from landscape_study.study.spec.presets import PRESETS, load_preset
from landscape_study.study.spec.results_files import no_results
from landscape_study.study.spec.study import Study
from landscape_study.study.store import StoreLike, address, opened
from landscape_study.study.store.prior_state import holds
from landscape_study.study.validation import names_of

if TYPE_CHECKING:
    import xarray as xr

Named = Sequence[str] | str  # a study, or files of results that were trained elsewhere


def load(
    store: StoreLike,
    name: Named,
    panels: Sequence[str] | str = (),
    *,
    asked: Asked | None = None,
) -> list[Landscape]:
    """The landscapes of a study's panels, in its order; of the named ones only, if any are.

    Where the name is that of a file, or of several, with results that were trained elsewhere,
    their panels are read; `asked` says which column is what, as far as it shall not be guessed.
    How a file is understood is logged once (logger `landscape_study`), and shown where nobody has
    set up logging. The other functions that read take files likewise.

    >>> [landscape.title for landscape in load("mine.db", "mine")]
    ['AdamW']
    """
    return [one.landscape for one in _panels(store, name, panels, asked)]


def cells(store: StoreLike, name: Named, *, asked: Asked | None = None) -> pd.DataFrame:
    """Every cell of a study, one row each; for the columns see `reading.frames.cells_frame`.

    >>> cells("mine.db", "mine")["state"].unique().tolist()
    ['finished']
    """
    with _looked_at(store, name, asked) as (results, study):
        return cells_frame(results, study)


def cube(store: StoreLike, name: Named, *, asked: Asked | None = None) -> xr.Dataset:
    """Everything of a study as an xarray.Dataset, panel × alpha × lambda × seed × epoch.

    It needs the extra `xarray`; for what it holds see `reading.cube`.

    >>> cube("mine.db", "mine")["test_error"].sizes["lambda"]
    4
    """
    with _looked_at(store, name, asked) as (results, study):
        return whole_cube(results, study)


def curves(store: StoreLike, name: Named, *, asked: Asked | None = None) -> pd.DataFrame:
    """The curves of all finished cells, one row per cell and epoch.

    >>> len(curves("mine.db", "mine"))
    12
    """
    with _looked_at(store, name, asked) as (results, study):
        return curves_frame(results, study)


def mechanism(store: StoreLike, name: Named, *, asked: Asked | None = None) -> pd.DataFrame:
    """What happened inside of all finished cells, one row per cell and epoch.

    Norms of weights, gradients and steps, and the share of clipped steps; for the columns see
    `reading.frames.mechanism_frame`. No rows where nothing was recorded.

    >>> bool(mechanism("mine.db", "mine")["weight_norm"].gt(0).all())
    True
    """
    with _looked_at(store, name, asked) as (results, study):
        return mechanism_frame(results, study)


def plot(
    store: StoreLike,
    name: Named,
    panels: Sequence[str] | str = (),
    *,
    kind: FigureKind | None = None,
    asked: Asked | None = None,
    **options: Any,
) -> Figure:
    """The figure of a study, finished or not; options as of `figures.study_figure.study_figure`.

    The schedules of a preset are drawn without a database.

    >>> plot("mine.db", "mine", kind="slices").savefig("slices.png")
    """
    panels = names_of(panels)
    if isinstance(name, str) and name in PRESETS and not holds(address(store), name):
        preset = load_preset(name)
        if (kind or preset.figure.kind) == "schedule":
            return schedule_figure(resolved_preset(name), panels, **options)
    with _looked_at(store, name, asked) as (results, study):
        return study_figure(results, study, panels, kind=kind, **options)


def heatmaps(
    store: StoreLike,
    name: Named,
    panels: Sequence[str] | str = (),
    *,
    asked: Asked | None = None,
    **options: Any,
) -> Figure:
    """The heatmaps of a study, with the best cells circled; options as of `plot`.

    >>> figure = heatmaps("mine.db", "mine", top=3)
    """
    return plot(store, name, panels, kind="heatmaps", asked=asked, **options)


def verdicts(
    store: StoreLike,
    name: Named,
    panels: Sequence[str] | str = (),
    *,
    asked: Asked | None = None,
) -> pd.DataFrame:
    """How coupled α and λ are in each panel, one row a panel.

    Columns: panel, verdict, reason, rule (what decided: tilt, regret, interaction, order; empty
    if it cannot tell), then of each statistic its value and the ends of its 95 % interval: tilt,
    tilt_low, tilt_high, drift, …, interaction, …, product, …, regret, …, worst_regret, …; best
    (value of the metric), cells, seeds, noise (in its unit, as regrets).

    >>> verdicts("mine.db", "mine")["panel"].tolist()
    ['adamw']
    """
    return verdict_frame(_panels(store, name, panels, asked))


@contextmanager
def _looked_at(
    store: StoreLike, name: Named, asked: Asked | None
) -> Iterator[tuple[Results, str]]:
    """The results that a name means, and the name of their study; of files, how they are read."""
    with results_of(store, name, asked) as (results, study):
        tell(results.said)
        yield results, study


def _panels(
    store: StoreLike, name: Named, panels: Sequence[str] | str, asked: Asked | None
) -> list[PanelData]:
    """The panels of a study, or of a file."""
    with _looked_at(store, name, asked) as (results, study):
        return study_panels(results, study, panels)


def compare(
    store: StoreLike,
    name: Named,
    panel: str | None = None,
    other: str | None = None,
    *,
    reference: str | None = None,
    asked: Asked | None = None,
) -> pd.DataFrame:
    """How panels differ, one row a pair of them: of all that are alike, or of two.

    Columns: panel, other, then of each number its value and the ends of its 95 % interval, other
    minus panel: best, best_low, best_high, tilt, …, drift, interaction, regret, rank, transfer;
    common, shared_top. See `statistics.comparison.Comparison`.

    Args:
        store: the database.
        name: of the study.
        panel: one of its panels; None for all pairs that differ in one setting.
        other: a panel of the study, or STUDY/PANEL of another one; of a reference, a pair.
        reference: a published figure, "fig2", to compare with.
        asked: which column of a file is what.

    >>> compare("mine.db", "mine", "adamw", reference="fig2")["other"].tolist()
    ['fig2/adamw']
    """
    with _looked_at(store, name, asked) as (results, study):
        return comparison_frame(compared(results, Request(study, panel, other, reference)))


def law(
    store: StoreLike,
    name: Named,
    *,
    over: Number | None = None,
    pairs: Sequence[str] | str = (),
    x: Mapping[str, float] | None = None,
    what: LawTable = "exponents",
    asked: Asked | None = None,
) -> pd.DataFrame:
    """How the best α and λ go with a batch size, a budget or a width: power laws, row by row.

    Columns: pair, schedule, over, held (what stays), then of "exponents": quantity (α, λ, α·λ,
    the timescale of the decay), exponent, exponent_low, exponent_high (95 %), tells, why (why it
    does not); of "values", the best ones: quantity, panel, x, value, value_low, value_high, bound
    (where the truth lies, if the border cuts the basin); of "published" laws: law, source,
    condition, quantity, says (its exponent), lambda_says (that of λ which follows), verdict.

    Args:
        store: the database.
        name: of the study; of several studies; or of files.
        over: the number that panels differ in: batch_size, epochs, steps or width; None for the
            only one that they do.
        pairs: only these.
        x: the width, or another number that is not known here, of each panel or study by name.
        what: which table.
        asked: which column of a file is what.

    Raises:
        UsageError: no panels differ in one number alone, or nothing has finished.

    >>> from landscape_study import study
    >>> grid = {"pairs": ["adamw"], "alpha": [0.01, 0.02], "lambda_": [0.001, 0.002]}
    >>> more = {"store": "mine.db", "quiet": True, "seeds": 1, "epochs": 1}
    >>> names = [study.run(name=f"b{b}", batch_size=b, **grid, **more).name for b in (25, 50)]
    >>> law("mine.db", names, over="batch_size", x={"b25": 25, "b50": 50})["quantity"].tolist()
    ['α', 'λ', 'α·λ', 'timescale']
    """
    request = LawRequest(over, names_of(pairs), dict(x or {}))
    with several_results(store, name, asked) as sources:
        for results, _ in sources:
            tell(results.said)
        return law_frame(scaling_laws(sources, request), what)


def export(
    store: StoreLike,
    name: Named,
    path: Path | str,
    what: What = "cells",
    *,
    asked: Asked | None = None,
) -> Path:
    """Write the results of a study into a file; return its path.

    Args:
        store: the database.
        name: of the study, or of files.
        path: of a table, .csv or .parquet; or of a NetCDF cube of everything, .nc.
        what: of the table: cells, curves, mechanism (what happened inside, by epoch), or wandb for
            a row a run as Weights & Biases has them.
        asked: which column of a file is what.

    >>> export("mine.db", "mine", "cells.csv").name
    'cells.csv'
    """
    with _looked_at(store, name, asked) as (results, study):
        write_export(results, study, Path(path), what)
    return Path(path)


def report(
    store: StoreLike,
    name: Named,
    path: Path | str | None = None,
    *,
    kind: page.Format = "html",
    panels: Sequence[str] | str = (),
    asked: Asked | None = None,
) -> Path:
    """Write the report of a study; return its path.

    If no path is named, it stands beside the database; that of files in the working directory.

    >>> report("mine.db", "mine", "mine.html").name
    'mine.html'
    """
    with _looked_at(store, name, asked) as (results, study):
        target = results.folder / f"{study}.{kind}" if path is None else Path(path)
        return page.write_report(results, study, target, kind=kind, panels=names_of(panels))


def import_files(
    store: StoreLike,
    files: Sequence[str] | str,
    *,
    name: str | None = None,
    asked: Asked | None = None,
) -> Study:
    """Store results that were trained elsewhere as a study, whole or not at all.

    It is looked at like any other; nothing of it can be trained here.

    Args:
        store: the database, made if it is not there.
        files: their panels are those of the study.
        name: of the study; None for that of the first file.
        asked: which column is what, as far as it shall not be guessed.

    >>> _ = export("mine.db", "mine", "cells.csv")
    >>> import_files("mine.db", "cells.csv", name="again").is_imported
    True
    """
    results = read_results(files, asked, name)
    tell(results.said)
    with opened(store, create=True) as there:
        store_results(results, there)
    return results.spec


def extend(
    name: str,
    *,
    store: StoreLike = None,
    panels: Sequence[str] | str = (),
    sides: Sequence[str] | str = (),
    steps: int = STEPS,
    auto_extend: int = 0,
    task: str | study_calls.Objective | None = None,
    trust_command: bool = False,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> Study:
    """Extend the grids of a study beyond their border, and train the cells that are new.

    Args:
        name: of the study.
        store: the database.
        panels: only these.
        sides: "alpha-low", …; where best cells lie on the border, if none is named.
        steps: how many values to add beyond each side.
        auto_extend: how often more, as long as best cells lie on a border.
        task: names the study's task again, if it is the user's own; a function that was handed
            over is handed over again.
        trust_command: whether to run the command that the study names, if it does, and to import
            samplers, pruners, rules and optimizers of its user's own.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.

    >>> grown = extend("mine", store="mine.db", sides=["alpha-high"], steps=1, quiet=True)
    >>> len(grown.panels[0].grid.rows.values)
    4
    """
    further = Further(auto_extend, steps, names_of(panels), names_of(sides))
    settings, told = settings or RunSettings(), study_calls.audience(quiet=quiet)
    with no_results(name), opened(store) as there:

        def train(grown: Study, left: int = 0) -> None:
            study_calls.train(grown, there, settings, told)

        stored = resumed_study(there, name, named(task), trust_command=trust_command)
        if beyond := sides_to_extend(there, name, further.panels, further.sides):
            told.tell(f"extending {sides_line(beyond)}")
            train(extended_study(stored, beyond, steps))
        else:
            told.tell(NOTHING_BEYOND.format(name=name))
        go_beyond_borders(there, name, further, train, told.tell)
        return there.study(name)


def refine(
    name: str,
    *,
    store: StoreLike = None,
    panels: Sequence[str] | str = (),
    top: int | None = None,
    task: str | study_calls.Objective | None = None,
    trust_command: bool = False,
    quiet: bool = False,
    settings: RunSettings | None = None,
) -> Study:
    """Add cells between the best ones of a study, and train them.

    Args:
        name: of the study.
        store: the database.
        panels: only these.
        top: around how many best cells; as many as heatmaps circle if None.
        task: names the study's task again, if it is the user's own; a function that was handed
            over is handed over again.
        trust_command: whether to run the command that the study names, if it does, and to import
            samplers, pruners, rules and optimizers of its user's own.
        quiet: whether to show no progress; warnings come as Python's own.
        settings: where and how to train.

    >>> finer = refine("mine", store="mine.db", top=1, quiet=True)
    >>> len(finer.panels[0].grid.extra) in (3, 5, 8)
    True
    """
    settings, told = settings or RunSettings(), study_calls.audience(quiet=quiet)
    with no_results(name), opened(store) as there:
        stored = resumed_study(there, name, named(task), trust_command=trust_command)
        between = cells_to_refine(there, name, names_of(panels), top)
        if not between:
            told.tell(NOTHING_BETWEEN.format(name=name))
            return stored
        told.tell(refining_line(between))
        return study_calls.train(refined_study(stored, between), there, settings, told)
