"""What a study shows, in lines for the terminal: verdicts, and what its figure says."""

from __future__ import annotations

from collections.abc import Sequence

from landscape_study.landscapes.figures.best_runs import (
    best_runs,
    best_sentences,
    curve_sentences,
    gap_sentences,
)
from landscape_study.landscapes.figures.generalization_record import generalization_sentences
from landscape_study.landscapes.figures.schedule_figure import schedule_sentences
from landscape_study.landscapes.growing.extending import study_edges
from landscape_study.landscapes.reading.frames import curves_frame
from landscape_study.landscapes.reading.panels import study_panels
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reporting.law_phrases import law_sentences
from landscape_study.landscapes.reporting.phrases import budget_line, verdict_line
from landscape_study.landscapes.statistics.budget_ranks import budget_ranks
from landscape_study.landscapes.statistics.edges import TOP, extend_command, refine_command
from landscape_study.landscapes.statistics.panel_families import families
from landscape_study.landscapes.statistics.restarts import anytime_sentences
from landscape_study.landscapes.statistics.scaling_law import scaling_law
from landscape_study.landscapes.statistics.separability import panel_separability
from landscape_study.study.spec.figure_kinds import OVER_GRIDS, FigureKind


def verdict_lines(store: Results, name: str) -> list[str]:
    """How coupled each panel is, and what cheap budgets tell of dear ones; none without grids.

    Where more cells around the best one would tell, the command that adds them comes below.

    Raises:
        UsageError: the database holds no such study.
    """
    study = store.study(name)
    if study.figure.kind not in OVER_GRIDS:
        return []
    lines, panels = [], study_panels(store, name)
    for one in panels:
        found = panel_separability(one)
        lines.append(verdict_line(one.label, found))
        if found.is_too_narrow and not study.is_imported:
            lines.append(f"  {refine_command(one.name, study, store.display_url)}")
    return [*lines, *map(budget_line, budget_ranks(panels))]


def figure_lines(
    store: Results,
    name: str,
    panels: Sequence[str] = (),
    *,
    kind: FigureKind | None = None,
    top: int | None = None,
) -> list[str]:
    """What a figure of a study says: of heatmaps and slices, which best cells lie on a border.

    Args:
        store: where the study is.
        name: of the study.
        panels: only these.
        kind: of the figure; None for the study's own.
        top: how many best cells to look at.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    kind = kind or study.figure.kind
    if kind in OVER_GRIDS:
        laws = law_lines(store, name, panels) if kind == "law" else []
        return [*laws, *edge_lines(store, name, panels, TOP if top is None else top)]
    if kind == "schedule":
        chosen = [study.panel(panel) for panel in dict.fromkeys(panels)] or study.panels
        return list(schedule_sentences(chosen))
    data, curves = study_panels(store, name, panels), curves_frame(store, name)
    if kind == "generalization":
        return list(generalization_sentences(data, curves))
    bests = best_runs(data, curves)
    said = anytime_sentences([best.run for best in bests])
    return [*best_sentences(bests), *gap_sentences(data), *curve_sentences(bests), *said]


def law_lines(store: Results, name: str, panels: Sequence[str] = ()) -> list[str]:
    """How the best α and λ go with a batch size or a budget, of each family of panels.

    Raises:
        UsageError: the database holds no such study, or no panels differ in one number alone.
        SpecError: the study has no such panel.
    """
    found = families(study_panels(store, name, panels))
    return law_sentences([scaling_law(family) for family in found])


def edge_lines(store: Results, name: str, panels: Sequence[str] = (), top: int = TOP) -> list[str]:
    """Where best cells lie on the border of a finished grid, each with the command to extend it.

    Args:
        store: where the study is.
        name: of the study.
        panels: only these.
        top: how many best cells to look at.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    return [
        line
        for edge in study_edges(store, name, panels=panels, top=top)
        for line in (
            edge.sentence,
            *(
                []
                if study.is_imported
                else [f"  {extend_command(edge, study, store.display_url)}"]
            ),
        )
    ]
