"""A run from its plan to the last witness: what `landscape run` and `study.run` do."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from landscape_study.study.environment.cache import why_forgetful
from landscape_study.study.errors import UsageError
from landscape_study.study.planning.objective_plan import AnyPlan, plan_objective
from landscape_study.study.planning.plan import Plan, make_plan
from landscape_study.study.planning.queued_plan import QueuedPlan
from landscape_study.study.planning.settings import RunSettings
from landscape_study.study.running.audience import Audience
from landscape_study.study.running.driver import run
from landscape_study.study.running.pools import Cluster, cluster_size
from landscape_study.study.running.witness import call_witnesses, newly_done
from landscape_study.study.sampling import load_sampler
from landscape_study.study.sampling.pruners import load_pruner
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Created, PanelProgress, Store

SILENT = Audience()


def planned(
    study: Study, settings: RunSettings, store: str, audience: Audience = SILENT
) -> AnyPlan:
    """The plan of a study, on this machine or on the dask cluster that the settings name.

    Raises:
        TaskError, UsageError: see `planning.plan.make_plan`, `running.pools.Cluster` and
            `require_helpers`.
    """
    require_helpers(study)
    if why := why_forgetful():
        audience.warn(why)
    if settings.dask is not None:
        size = cluster_size(settings.dask, store)
        settings = dataclasses.replace(settings, workers=min(settings.workers or size, size))
    if study.has_objective:
        return plan_objective(study, settings)
    return make_plan(study, settings, store=store, tell=audience.tell, watch=audience.watch)


def require_helpers(study: Study) -> None:
    """Check that the samplers and pruners are there that the study's panels name.

    Raises:
        UsageError: one is not, or is none.
    """
    for panel in study.panels:
        if panel.asked:
            load_sampler(panel.asked)
        if panel.prune:
            load_pruner(panel.prune, panel, study.metric)


def put(plan: AnyPlan | QueuedPlan, store: Store, settings: RunSettings) -> Created:
    """Put the study into the store.

    Raises:
        StudyMismatchError: the store has another study of this name, or of another task.
        UsageError: see `require_helpers`; or the study that it has names others of its user's own.
    """
    require_helpers(plan.study)
    _require_named(plan.study, store)
    accepted = settings.accept_source
    return store.create(plan.study, plan.identity, plan.chunks, accept_source=accepted)


def _require_named(study: Study, store: Store) -> None:
    """Check that all code that the study will go on with is what `study` names, too.

    Raises:
        StudyMismatchError: it cannot go on as `study`.
        UsageError: it names more.
    """
    if study.name in store.names():
        stored = store.study(study.name)
        grown = stored.merge(study, store.name)
        unnamed = [one for one in grown.own_helpers if one not in study.own_helpers]
        if unnamed:
            raise UsageError(
                f"{store.name}: study '{study.name}' makes use, in other panels, of "
                f"code of your own, {', '.join(unnamed)}: name these panels too, or import what "
                f"the database says:\n  {command_line('resume', stored, store.display_url)}"
            )


def train(plan: AnyPlan, store: Store, settings: RunSettings, audience: Audience = SILENT) -> None:
    """Put the study into the store, train what is open, and call the witnesses.

    Raises:
        KeyboardInterrupt: it was interrupted; what is finished is in the store.
        LandscapeError: see `put` and `running.driver.run`.
    """
    _warn_of_network(store, audience)
    put(plan, store, settings)
    _work(plan, store, settings, audience)


def join(
    plan: AnyPlan,
    store: Store,
    settings: RunSettings,
    audience: Audience = SILENT,
    *,
    stay: bool,
    cells: int | None = None,
) -> None:
    """Train what is open of a study that is in the store, beside others; call the witnesses.

    Args:
        stay: whether to stay while others hold all that is open: they may die.
        cells: after how many each worker leaves; None for any.
    """
    _warn_of_network(store, audience)
    _work(plan, store, settings, audience, stay=stay, cells=cells)


def _work(
    plan: AnyPlan,
    store: Store,
    settings: RunSettings,
    audience: Audience,
    *,
    stay: bool = True,
    cells: int | None = None,
) -> None:
    """Train what is open, and call the witnesses."""
    before = store.progress(plan.study.name)
    audience.planned(plan, store, before)
    cluster = _cluster(settings.dask)
    with cluster as pool, audience.training(plan.study.name, store, before) as on_progress:
        run(
            *(plan, store, on_progress, pool),
            stay=stay,
            cells=cells,
            settings=settings,
        )
    _witness(plan, store, before, settings, audience)


def _witness(
    plan: AnyPlan,
    store: Store,
    before: Sequence[PanelProgress],
    settings: RunSettings,
    audience: Audience,
) -> None:
    """Train a cell again of each panel that is done now, unless that is not wanted."""
    if settings.witness and isinstance(plan, Plan):
        name = plan.study.name
        witnessed = {witness.panel for witness in store.witnesses(name)}
        panels = newly_done(before, store.progress(name), witnessed)
        call_witnesses(plan, store, panels, audience.tell, audience.watch)


def _warn_of_network(store: Store, audience: Audience) -> None:
    """Say so if the database lies where SQLite cannot lock."""
    kind = store.database.network_file_system()
    if kind is not None:
        audience.warn(
            f"{store.name} lies on a network file system ({kind}), where SQLite's locks may fail: "
            "move it to a local disk, or take PostgreSQL for several machines"
        )


def _cluster(address: str | None) -> contextlib.AbstractContextManager[Cluster | None]:
    """The dask cluster to train on, if one is named."""
    return contextlib.nullcontext() if address is None else contextlib.closing(Cluster(address))
