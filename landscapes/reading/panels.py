"""The panels of a study, or of a published figure, with all that there is to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from landscape_study.landscapes.reading.frames import cells_frame
from landscape_study.landscapes.reading.landscape import Landscape, landscape
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reading.timescales import panel_timescale, training_examples
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.records.witness_record import DOUBT, marked
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Panel
from landscape_study.study.validation import names_of


@dataclass(frozen=True, eq=False)
class PanelData:
    """A panel's cells, as a frame and as a landscape."""

    name: str  # as users name it: "adamw", "fig2/adamw"
    landscape: Landscape
    cells: pd.DataFrame  # the panel's landscape frame
    panel: Panel | None = None  # None for a published one
    study: str = ""  # whose it is; "" for a published one
    task: str = ""  # of that
    options: Options | None = None  # of its steps; None where they are not known here
    batch_size: int | None = None  # None where it is not known here
    examples: int | None = None  # that it is trained on; None where that is not known

    @property
    def metric(self) -> Metric:
        """What was measured; the column of its name has it."""
        return self.landscape.metric

    @property
    def title(self) -> str:
        """How figures and tables name the panel."""
        return self.landscape.title

    @property
    def label(self) -> str:
        """The name as tables in a terminal show it: marked where the witness disagrees."""
        return marked(self.name, self.landscape.doubtful)


def study_panels(store: Results, name: str, panels: Sequence[str] = ()) -> list[PanelData]:
    """The panels of a study, in its order; the named ones only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    chosen = [study.panel(panel) for panel in names_of(panels)] or study.panels
    cells, examples = cells_frame(store, name), training_examples(store, study)
    return [
        PanelData(
            panel.name,
            landscape(cells, panel, study.metric, panel_timescale(study, panel, examples)),
            cells[cells["panel"] == panel.name],
            panel,
            study=name,
            task=study.task,
            options=None if panel.is_labelled else study.options_of(panel),
            batch_size=panel.batch_size or study.batch_size,
            examples=examples,
        )
        for panel in chosen
    ]


def study_landscapes(store: Results, name: str, panels: Sequence[str] = ()) -> list[Landscape]:
    """The landscapes of a study's panels, in its order; of the named ones only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    return [one.landscape for one in study_panels(store, name, panels)]


def alike(panels: Sequence[PanelData]) -> Iterator[tuple[PanelData, PanelData]]:
    """Pairs of a study's panels that differ in one thing: pair, schedule, budget, or λ_norm.

    Panels of different update rules are never alike: their α mean different things.
    """
    for one, other in combinations(panels, 2):
        if one.panel and other.panel and _differences(one.panel, other.panel) == 1:
            yield one, other


def _differences(one: Panel, other: Panel) -> float:
    """In how many settings two panels differ; infinitely many if in rule or axes."""
    if one.is_labelled or other.is_labelled:
        return float(one.is_labelled and other.is_labelled)  # in what the file tells them apart by
    if one.grid.names != other.grid.names:
        return float("inf")
    if pair_called(one.pair).rule != pair_called(other.pair).rule:
        return float("inf")
    first, second = one.settings(), other.settings()
    return sum(first[key] != second[key] for key in first)


def unfinished(title: str, finished: int, total: int, *, imported: bool = False) -> str:
    """That cells of a panel are missing; of what was trained elsewhere they will not come."""
    if imported:
        return f"{title}: {finished} of {total} runs ended with a result"
    return f"{title}: {finished} of {total} cells have finished; the numbers may change"


def doubtful(title: str) -> str:
    """That the witness of a panel disagrees; the title is marked."""
    return f"{title}: {DOUBT}"
