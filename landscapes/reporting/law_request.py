"""Laws over a third axis: from what the command line names to what is found of each family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.opening import files_among, results_of, texts_of
from landscape_study.landscapes.reading.panels import PanelData, study_panels
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.statistics.panel_families import Told, families
from landscape_study.landscapes.statistics.scaling_law import ScalingLaw, scaling_law
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.published_laws import Number
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.store import StoreLike


@dataclass(frozen=True)
class LawRequest:
    """Which laws are asked for.

    Attributes:
        over: the number that panels are to differ in; None for the only one that they do.
        pairs: only these; all if empty.
        told: the number of each panel or study, where it is not known here.
    """

    over: Number | None = None
    pairs: tuple[str, ...] = ()
    told: Told = field(default_factory=dict)


@contextmanager
def several_results(
    store: StoreLike, names: Sequence[str] | str, asked: Asked | None = None
) -> Iterator[list[tuple[Results, str]]]:
    """The results that names mean: of one study, of files together, or of several studies.

    Raises:
        UsageError: as `results_of`.
    """
    names = texts_of(names)
    with ExitStack() as stack:
        if len(names) == 1 or files_among(store, names):
            yield [stack.enter_context(results_of(store, names, asked))]
        else:
            yield [stack.enter_context(results_of(store, [name], asked)) for name in names]


def scaling_laws(
    sources: Sequence[tuple[Results, str]], request: LawRequest, replicates: int | None = None
) -> list[ScalingLaw]:
    """The law of each family of panels, of one study or of several.

    Raises:
        MissingStudyError: there is no such study.
        UsageError: no panels differ in one number alone; nothing has finished; unknown pairs.
    """
    panels = [one for results, name in sources for one in study_panels(results, name)]
    if len(sources) > 1:
        panels = [replace(one, name=f"{one.study}/{one.name}") for one in panels]
    chosen = _of_pairs(panels, request.pairs)
    _require_finished(chosen)
    found = families(chosen, request.over, request.told)
    more = {} if replicates is None else {"replicates": replicates}
    return [scaling_law(family, **more) for family in found]


def _of_pairs(panels: Sequence[PanelData], pairs: Sequence[str]) -> list[PanelData]:
    """The panels of some pairs.

    Raises:
        UsageError: a name is none, or no panel has it.
    """
    known = {one.panel.pair for one in panels if one.panel}
    wanted = set()
    for pair in pairs:
        try:
            name = pair if pair in known else pair_called(pair).name
        except ValueError as e:
            raise UsageError(str(e)) from e
        if name not in known:
            some = ", ".join(sorted(known))
            raise UsageError(f"--pair {pair}: no panel has it: choose from {some}")
        wanted.add(name)
    return [one for one in panels if not wanted or (one.panel and one.panel.pair in wanted)]


def _require_finished(panels: Sequence[PanelData]) -> None:
    """Refuse panels of which nothing has finished."""
    if not any(one.landscape.n.any() for one in panels):
        names = ", ".join(dict.fromkeys(one.study for one in panels))
        raise UsageError(f"{names}: nothing has finished yet: run it, or wait")
