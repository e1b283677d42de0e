"""What the report of a study says: numbers, sentences and commands, frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from landscape_study.landscapes.figures.curves import cell_label
from landscape_study.landscapes.figures.style import cell_name, column_ticks
from landscape_study.landscapes.reading.landscape import Landscape, top_cells
from landscape_study.landscapes.reading.panels import (
    PanelData,
    alike,
    doubtful,
    study_panels,
    unfinished,
)
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.law_phrases import LAWS, law_sentences, study_laws
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.budget_ranks import BudgetRank, budget_ranks
from landscape_study.landscapes.statistics.comparison import Comparison, compare_panels
from landscape_study.landscapes.statistics.defaults import default_cost, defaults
from landscape_study.landscapes.statistics.edges import edges, extend_command, refine_command
from landscape_study.landscapes.statistics.explanation import Explanation, explanations
from landscape_study.landscapes.statistics.optimum import Move, moves
from landscape_study.landscapes.statistics.recommendation import (
    Recommendation,
    TuningPath,
    recommend,
    tuning_paths,
    usable,
)
from landscape_study.landscapes.statistics.separability import Separability, panel_separability
from landscape_study.landscapes.statistics.surface import BASIN
from landscape_study.study.records.failure_words import failure_parts
from landscape_study.study.records.run_lines import run_lines
from landscape_study.study.records.witness_record import Witness
from landscape_study.study.spec.cell_numbers import NOTE, Names, common, symbols
from landscape_study.study.spec.figure_kinds import OVER_GRIDS
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.shell_words import shell_words
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.store import PanelProgress

FAILED = 5  # cells that were given up of which the report tells why


@dataclass(frozen=True)
class PanelReport:
    """What the report says about one panel."""

    panel: Panel
    landscape: Landscape
    separability: Separability
    recommendation: Recommendation | None
    paths: tuple[TuningPath, ...]  # ascending in cost
    finished: int  # cells over all seeds
    total: int
    diverged: int
    defaults: tuple[tuple[str, Estimate], ...] = ()  # what each costs, in the metric's unit
    witness: Witness | None = None
    spread: float | None = None  # standard deviation between seeds; None with one seed

    @property
    def title(self) -> str:
        """How figures name the panel."""
        return self.landscape.title

    @property
    def has_grid(self) -> bool:
        """Whether there are several α and several λ to ask about."""
        return len(self.landscape.rows.values) > 1 and len(self.landscape.columns.values) > 1

    @property
    def best(self) -> str:
        """The best value of the metric with its standard error: "2.31 ± 0.12"."""
        best = top_cells(self.landscape, 1)
        if not best:
            return phrases.UNKNOWN
        stderr = self.landscape.stderr[best[0]]
        digits = self.separability.units.digits
        return f"{self.landscape.error[best[0]]:.{digits}f}" + (
            "" if math.isnan(stderr) else f" ± {stderr:.{digits}f}"
        )

    @property
    def recommended(self) -> str:
        """The recommended cell and how flat the landscape is around it."""
        chosen = self.recommendation
        if self.landscape.doubtful:
            return "No cell is recommended: these are not the results of a plain loop."
        if chosen is None:
            return "No cell to recommend: none has finished without diverging."
        units = self.separability.units
        where = f"Recommended: {self.name(chosen.cell)} ({units.told(chosen.error)})."
        alone = self.landscape.error.size == 1 or self.landscape.is_scattered
        if alone or self.landscape.is_chosen:  # whose neighbours are not all there
            return where
        if not chosen.neighbours:
            return f"{where} None of its neighbours has finished."
        worst = (
            "at worst it diverges"
            if math.isinf(chosen.worst_rise)
            else f"at worst by {chosen.worst_rise:.{units.digits}f}"
        )
        mean = f"{phrases.number(chosen.mean_rise, units.digits)} {units.metric.differences}"
        gets, (up, across) = _gets_worse(units.metric), self.landscape.symbols
        return (
            f"{where} One step away in {up}, {across} or both, {gets} by {mean.rstrip()} on "
            f"average; {worst}."
        )

    @property
    def told(self) -> str:
        """What tuning one at a time costs, the law of the best λ, what defaults cost."""
        found = self.separability
        sentences = (
            phrases.cost(found),
            *phrases.how_lambda_goes(found),
            phrases.described(found),
            phrases.untuned(self.defaults, found.units, found.names),
        )
        return " ".join(sentence for sentence in sentences if sentence)

    @property
    def best_columns(self) -> str:
        """Over which λ the best ones of the good α range, 0 included, as in the slices.

        Of other axes likewise.
        """
        if not self.has_grid:
            return ""
        error = usable(self.landscape)
        error = np.where(np.isnan(error), np.inf, error)
        if not np.isfinite(error).any():
            return ""
        units = self.separability.units
        reach = BASIN * units.size
        good = error.min(axis=1) < error.min() + reach
        cols = error.argmin(axis=1)[good]
        names, (up, across) = column_ticks(self.landscape).names, self.landscape.symbols
        span = names[cols.min()] + ("" if np.ptp(cols) == 0 else f" to {names[cols.max()]}")
        unit = "point" if units.metric.unit == "%" else units.metric.unit
        within = f"{reach:.3g} {unit}".rstrip()
        return (
            f"Where some {across} comes within {within} of the best {units.metric.noun} (at "
            f"{good.sum()} of {good.size} {up}), the best {across} is {span}."
        )

    @property
    def facts(self) -> str:
        """What was trained: schedule, budget, cells."""
        panel, found = self.panel, self.separability
        how = (
            ("Trained elsewhere" if panel.is_imported else f"Your own training, pair {panel.pair}")
            if panel.is_labelled
            else f"Pair {panel.pair}, schedule {panel.schedule.label}, {panel.epochs} epochs"
            + "".join(f", {one}" for one in panel.own_numbers)
        )
        told = f"{found.noise:.{found.units.digits}f} {found.units.metric.differences}".rstrip()
        known = not math.isnan(found.regret.value)  # else nothing is counted in it
        tau = f"; τ = {found.tau:.{found.units.digits}f} ({phrases.TAU})" if known else ""
        hinges = phrases.hinges(found)
        taken = f"; {phrases.taken(found.units)}, since it was not given"
        noise = "" if math.isnan(found.noise) else f", noise of a cell ± {told}"
        return (
            f"{how}; {self.finished} of {self.total} cells finished, {self.diverged} "
            f"diverged{noise}{tau}{taken * found.units.derived}."
            + (f" {phrases.first_upper(hinges)}: --matters says what matters." if hinges else "")
        )

    @property
    def witnessed(self) -> str:
        """How far its witness lies from what was recorded; nothing of what has none."""
        if self.panel.is_labelled:
            return ""
        one, error = self.witness, self.landscape.metric.title
        cell = cell_label(one.cell, self.panel.grid) if one else ""
        units = self.separability.units
        return phrases.witnessed(one, cell, error, self.spread, self.panel.epochs, units)

    @property
    def doubt(self) -> str:
        """What the witness says against the panel; "" if nothing."""
        if self.witness is None or self.witness.agrees:
            return ""
        return (
            f"{doubtful(self.title)} ({self.witness.why}). Do not rely on it: train it "
            "with --engine referee under another --name."
        )

    def name(self, cell: tuple[int, int]) -> str:
        """A cell as a person says it: "α = 1/16, λ = 1/64"."""
        return cell_name(self.landscape, cell)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _gets_worse(metric: Metric) -> str:
    """What a metric does where it gets worse: "the error rises", "the accuracy falls"."""
    return f"the {metric.noun} {'rises' if metric.sign > 0 else 'falls'}"


@dataclass(frozen=True)
class Pairing:
    """Two panels and how they differ, other − one."""

    one: str  # titles
    other: str
    comparison: Comparison


@dataclass(frozen=True)
class FailedCell:
    """A cell that was given up: where, why, and the last lines of its log."""

    cell: str
    why: str
    log: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What the report of a study says."""

    study: Study
    panels: tuple[PanelReport, ...]
    asks_how_coupled: bool  # whether verdicts on α × λ are asked for
    pairings: tuple[Pairing, ...]
    budgets: tuple[BudgetRank, ...]  # from each budget to the next
    moves: tuple[Move, ...]
    explanations: tuple[Explanation, ...]
    laws: tuple[str, ...]  # over batch sizes and budgets, a sentence each
    doubts: tuple[str, ...]  # which panels are not what a plain loop gives
    warnings: tuple[str, ...]
    failed: tuple[FailedCell, ...]  # some of those that were given up
    growth: tuple[tuple[str, str], ...]  # where more cells would tell, the command that adds them
    runs: tuple[str, ...]  # one line per run: when, where, which versions
    spec: str  # TOML; "" of what nobody can train here
    commands: tuple[tuple[str, str], ...]  # what it does, the command

    @property
    def names(self) -> Names:
        """The axes of its panels; α and λ where they have different ones."""
        return common(panel.landscape.names for panel in self.panels)

    @property
    def symbols(self) -> tuple[str, str]:
        """Of these axes."""
        return symbols(self.names)

    @property
    def axes_note(self) -> str:
        """That panels have other axes than those that are named; "" where they have not."""
        return NOTE if any(panel.landscape.names != self.names for panel in self.panels) else ""

    @property
    def about(self) -> tuple[str, ...]:
        """What was studied: task, seeds, batch size, panels."""
        study = self.study
        seeds, panels = _count(len(study.seeds), "seed"), _count(len(self.panels), "panel")
        if study.is_imported:
            return "Trained elsewhere", seeds, panels
        size = () if study.has_objective else (f"batch size {study.batch_size}",)
        return study.training, seeds, *size, panels

    @property
    def laws_note(self) -> str:
        """What the numbers of laws are."""
        return LAWS

    @property
    def budgets_note(self) -> str:
        """What the numbers from budget to budget are."""
        chosen = any(found.is_chosen for found in self.budgets)
        return phrases.budgets_note(self.study.metric, is_chosen=chosen)


def study_report(store: Results, name: str, panels: Sequence[str] = ()) -> Report:
    """Read a study and say what there is to say; of the named panels only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    chosen = study_panels(store, name, panels)
    progress = {one.panel: one for one in store.progress(name)}
    witnesses = {one.panel: one for one in store.witnesses(name)}
    noise = store.seed_noise(name)
    reports = tuple(
        replace(
            _panel_report(one, one.panel, progress[one.panel.name]),
            witness=witnesses.get(one.panel.name),
            spread=noise.get(one.panel.name),
        )
        for one in chosen
        if one.panel
    )
    coupling = study.figure.kind in OVER_GRIDS or any(one.has_grid for one in reports)
    return Report(
        study=study,
        panels=reports,
        asks_how_coupled=coupling,
        pairings=tuple(
            Pairing(one.title, other.title, compare_panels(one, other))
            for one, other in (alike(chosen) if coupling else ())
        ),
        budgets=tuple(budget_ranks(chosen)) if coupling else (),
        moves=tuple(moves(chosen)) if coupling else (),
        explanations=tuple(explanations(chosen)) if coupling else (),
        laws=tuple(law_sentences(study_laws(chosen))) if coupling else (),
        doubts=tuple(one.doubt for one in reports if one.doubt),
        warnings=tuple(_warnings(study, reports, progress)),
        failed=_failed(store, study, [one.panel.name for one in reports]),
        growth=tuple(_growth(study, reports, store.display_url)),
        runs=tuple(run_lines(store.runs(name))),
        spec="" if study.is_imported else study.to_toml(),
        commands=_commands(study, store),
    )


def _panel_report(data: PanelData, panel: Panel, progress: PanelProgress) -> PanelReport:
    found, names = panel_separability(data), data.landscape.names
    return PanelReport(
        panel=panel,
        landscape=data.landscape,
        separability=found,
        recommendation=recommend(data.landscape, found.noise, found.units),
        paths=tuning_paths(data.landscape),
        finished=progress.finished,
        total=progress.total,
        diverged=progress.diverged,
        defaults=tuple(
            (one.name, default_cost(data.cells, one, data.metric, names=names))
            for one in defaults(data.landscape.pair, normalized=panel.normalized, names=names)
        ),
    )


def _failed(store: Results, study: Study, panels: Sequence[str]) -> tuple[FailedCell, ...]:
    """The first cells that were given up, unless they were elsewhere."""
    if study.is_imported:
        return ()
    found = [one for one in store.failures(study.name) if one.panel in panels]
    return tuple(
        FailedCell(
            f"{one.panel}, seed {one.seed}, {one.cell.told}",
            *((parts := failure_parts(one.reason))[0], tuple(parts[1])),
        )
        for one in found[:FAILED]
    )


def _warnings(
    study: Study, reports: Sequence[PanelReport], progress: dict[str, PanelProgress]
) -> list[str]:
    """What a reader must know before believing the rest."""
    found = []
    if len(study.seeds) == 1:
        found.append(
            "One seed: the noise is estimated from the roughness of the landscapes, and intervals "
            "are somewhat too narrow."
            + " More seeds: add --seeds 3 to the command that ran it."
            * (not study.is_imported)
        )
    for report in reports:
        failed, pruned = progress[report.panel.name].failed, progress[report.panel.name].pruned
        if report.finished + pruned < report.total:
            told = unfinished(
                report.title, report.finished, report.total, imported=study.is_imported
            )
            found.append(f"{told}.")
        if pruned:
            found.append(
                f"{report.title}: {pruned} of {report.total} cells were pruned, before their end; "
                "they count as bad as the span."
            )
        if failed:
            found.append(f"{report.title}: {failed} cells failed.")
        if report.diverged:
            found.append(
                f"{report.title}: {report.diverged} of {report.total} cells diverged; they count "
                "as bad as the span."
            )
    return found


def _growth(study: Study, reports: Sequence[PanelReport], store: str) -> Iterator[tuple[str, str]]:
    """Best cells on a border, basins that are too narrow, and the commands that do something.

    There are none where nothing can be trained here.
    """

    def here(command: str) -> str:
        return "" if study.is_imported else command

    for report in reports:
        for edge in edges(report.landscape):
            yield edge.sentence, here(extend_command(edge, study, store))
        if report.separability.is_too_narrow:
            told = f"{report.title}: {report.separability.reason}"
            yield told, here(refine_command(report.panel.name, study, store))


def _commands(study: Study, store: Results) -> tuple[tuple[str, str], ...]:
    """What to type to have the report again, the figure, the numbers and the study."""
    name = study.name
    named = shell_words(store.words(name))
    anew = f"landscape show {named} > {name}.toml && landscape run {name}.toml --store anew.db"
    return (
        ("this report", f"landscape report {named}"),
        ("the figure", f"landscape plot {named}"),
        ("every number", f"landscape export {named} -o {name}-cells.csv"),
        *([] if study.is_imported else [("the study anew, from the specification below", anew)]),
    )
