"""Panels whose cells are asked for: what is known, how far they are, and what comes next.

Who asks looks at what there is, thinks for as long as it takes, and adds chunks in one
transaction that is fenced by how much had been asked for when it looked, and by the panel as it
was: if another asked meanwhile, or the study grew, nothing is added, and it looks again. What was
asked for is stored before it is trained, so that nothing of it is lost or doubled, whoever dies.
Where the cells are the best ones of another panel, that one must be as it was seen, too. Whoever
adds cells, or opens what was settled, holds the lock of the study (`creation.lock`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from landscape_study.study.records.wishes import Known, Trial, Wish
from landscape_study.study.spec.cell_numbers import from_text
from landscape_study.study.spec.study import Cell, Panel, Study
from landscape_study.study.store.columns import where_known
from landscape_study.study.store.creation import (
    AT_ONCE,
    alike,
    insert_cells,
    lock,
    optuna_study,
)
from landscape_study.study.store.optuna_tables import measured
from landscape_study.study.store.optuna_tables import sampler_table as _sampler
from landscape_study.study.store.optuna_tables import value_table as _value
from landscape_study.study.store.tables import ENDED
from landscape_study.study.store.tables import cell_table as _cell
from landscape_study.study.store.tables import chunk_table as _chunk
from landscape_study.study.store.tables import design_table as _design
from landscape_study.study.store.tables import study_table as _study


def open_design(connection: Connection, study_id: int, panel: Panel, *, anew: bool) -> None:
    """Note that the panel's cells are asked for, from here on or still.

    Args:
        anew: whether it is asked for otherwise than before, so that what was settled is not.
    """
    where = (_design.c.study_id == study_id) & (_design.c.panel == panel.name)
    known = connection.scalar(sa.select(_design.c.asked).where(where))
    if known is None:
        connection.execute(_design.insert().values(study_id=study_id, panel=panel.name))
    elif anew:
        connection.execute(_design.update().where(where).values(settled=None))


def asks_anew(before: Study, after: Study, panel: Panel) -> bool:
    """Whether a panel of a study that was grown may ask for more, though it was settled before."""
    if before.seeds != after.seeds:
        return True
    return before.panels != after.panels if panel.promoted else panel not in before.panels


def reopen_promoted(connection: Connection, study: Study) -> None:
    """Let the panels that have the best cells of others ask again: those may have changed."""
    promoted = [panel.name for panel in study.panels if panel.promoted]
    study_id = sa.select(_study.c.study_id).where(_study.c.name == study.name).scalar_subquery()
    where = (_design.c.study_id == study_id) & _design.c.panel.in_(promoted)
    connection.execute(_design.update().where(where).values(settled=None))


def unsettled(connection: Connection, name: str) -> dict[str, int]:
    """How many trainings were asked for, by panel of the study of which more may be."""
    return {row["panel"]: row["asked"] for row in _rows(connection, name) if not row["settled"]}


def settled(connection: Connection, name: str) -> dict[str, str]:
    """Why nothing more is asked for, by panel of the study."""
    return {row["panel"]: row["settled"] for row in _rows(connection, name) if row["settled"]}


def asked(connection: Connection, name: str) -> dict[str, int]:
    """How many trainings were asked for, by panel of the study whose cells are asked for."""
    return {row["panel"]: row["asked"] for row in _rows(connection, name)}


def _rows(connection: Connection, name: str) -> Sequence[RowMapping]:
    """The study's designs that ask; none where an older schema could not be upgraded."""
    if not sa.inspect(connection).has_table(_design.name):
        return []
    columns = _design.c.panel, _design.c.asked, _design.c.settled
    query = sa.select(*columns).join(_study).where(_study.c.name == name)
    return connection.execute(query).mappings().all()


def known(connection: Connection, study: Study, panel: str) -> Known | None:
    """What a sampler knows of a panel; None where nothing more is asked for."""
    open_designs, own = unsettled(connection, study.name), study.panel(panel)
    if panel not in open_designs:
        return None
    source = None
    if own.promoted and own.promoted.best_of not in open_designs:
        waiting = sa.exists().where(*_chunks_of(study.name, own.promoted.best_of), _is_open)
        if not connection.scalar(sa.select(waiting)):
            source = trials(connection, study.name, own.promoted.best_of)
    return Known(
        panel=own,
        metric=study.metric,
        seeds=study.seeds,
        trials=trials(connection, study.name, panel),
        asked=open_designs[panel],
        source=source,
    )


_is_open = _chunk.c.state == "open"


def _chunks_of(name: str, panel: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Which chunks are a panel's."""
    study_id = sa.select(_study.c.study_id).where(_study.c.name == name).scalar_subquery()
    return _chunk.c.study_id == study_id, _chunk.c.panel == panel


def trials(connection: Connection, name: str, panel: str) -> tuple[Trial, ...]:
    """The panel's trials, in the order in which they were added."""
    query = (
        sa.select(
            *(_cell.c.trial_id, _chunk.c.seed, _chunk.c.state, _cell.c.alpha, _cell.c["lambda"]),
            where_known(connection, _cell.c.own),
            *(measured.label("value"), _cell.c.diverged_epoch),
        )
        .join_from(_chunk, _study)
        .join(_cell, _cell.c.chunk_id == _chunk.c.chunk_id)
        .join(_value, _value.c.trial_id == _cell.c.trial_id, isouter=True)
        .where(_study.c.name == name, _chunk.c.panel == panel)
        .order_by(_cell.c.trial_id)
    )
    rows = connection.execute(query).mappings().all()
    memories = _memories(connection, [row["trial_id"] for row in rows])
    return tuple(
        Trial(
            cell=Cell(row["alpha"], row["lambda"], from_text(row["own"])),
            seed=row["seed"],
            state=_state(row["state"]),
            value=row["value"] if row["state"] in ENDED else None,
            diverged=bool(row["diverged_epoch"]),
            memory=memories[row["trial_id"]],
        )
        for row in rows
    )


def _state(of_chunk: str) -> Literal["finished", "pruned", "open", "failed"]:
    if of_chunk == "done":
        return "finished"
    return "pruned" if of_chunk == "pruned" else "open" if of_chunk == "open" else "failed"


def _memories(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What samplers wrote down with trials, by trial."""
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for first in range(0, len(trial_ids), AT_ONCE):
        some = trial_ids[first : first + AT_ONCE]
        for row in connection.execute(
            sa.select(_sampler).where(_sampler.c.trial_id.in_(some))
        ).mappings():
            found[row["trial_id"]][row["key"]] = json.loads(row["value_json"])
    return found


def ask(
    connection: Connection, study: Study, seen: Known, wishes: Sequence[Wish], width: int
) -> bool:
    """Add trainings, in chunks of one seed and at most `width` cells, if nobody asked meanwhile.

    What is there already counts as asked for, and is not added again.
    """
    study_id = _taken(connection, study, seen, asked=seen.asked + len(wishes))
    if study_id is None:
        return False
    _add(connection, study_id, study, seen.panel, wishes, width)
    return True


def take_over(
    connection: Connection, study: Study, panel: Panel, others: Sequence[Trial], asked: int
) -> None:
    """Add what another database has results of, of a panel, to be taken from there.

    It counts as asked for, but for what was no sampler's there, of an earlier grid.

    Args:
        asked: how many trainings were asked for there.
    """
    wishes = [Wish(o.cell, o.seed, o.memory) for o in others if o.state in ("finished", "pruned")]
    lock(connection, study.name)
    where = (_study.c.name == study.name) & (_design.c.panel == panel.name)
    found = connection.execute(sa.select(_design).join(_study).where(where)).mappings().one()
    new = _add(connection, found["study_id"], study, panel, wishes, AT_ONCE)
    own = (_design.c.study_id == found["study_id"]) & (_design.c.panel == panel.name)
    asked = found["asked"] + min(new, asked)
    connection.execute(_design.update().where(own).values(asked=asked))


def _add(
    connection: Connection,
    study_id: int,
    study: Study,
    panel: Panel,
    wishes: Sequence[Wish],
    width: int,
) -> int:
    """Add those that are not there, in chunks of one seed and alike; how many they are."""
    known = {(one.cell, one.seed) for one in trials(connection, study.name, panel.name)}
    by_seed: defaultdict[int, dict[Cell, Wish]] = defaultdict(dict)
    for wish in wishes:
        if (wish.cell, wish.seed) not in known:
            by_seed[wish.seed].setdefault(wish.cell, wish)
    for seed, of_seed in by_seed.items():
        for group in alike([*of_seed]):
            new = [of_seed[cell] for cell in group]
            size = -(-len(new) // -(-len(new) // width))  # chunks nearly of one size
            for first in range(0, len(new), size):
                _add_chunk(connection, study_id, study, panel, seed, new[first : first + size])
    return sum(map(len, by_seed.values()))


def settle(connection: Connection, study: Study, seen: Known, why: str) -> bool:
    """Note why nothing more is asked for; whether nobody else asked meanwhile."""
    return _taken(connection, study, seen, settled=why) is not None


def _taken(connection: Connection, study: Study, seen: Known, **values: Any) -> int | None:
    """Change the panel's design, if it is as it was seen; the id of its study, if so."""
    study_id = sa.select(_study.c.study_id).where(_study.c.name == study.name).scalar_subquery()
    own = (_design.c.study_id == study_id) & (_design.c.panel == seen.panel.name)
    as_seen = _design.c.asked == seen.asked
    if seen.panel.promoted:
        as_seen &= _is_as_seen(study.name, seen.panel.promoted.best_of, seen.source or ())
    change = (
        _design.update()
        .where(own, as_seen, _design.c.settled.is_(None))
        .values(**values)
        .returning(_design.c.study_id)
    )
    return connection.scalar(change)


def _is_as_seen(name: str, panel: str, source: Sequence[Trial]) -> sa.ColumnElement[bool]:
    """Whether a panel has these trials still, no more, as many finished and none open."""
    chunks = _chunks_of(name, panel)
    cells = sa.select(sa.func.count()).select_from(_cell).join(_chunk).where(*chunks)
    finished = cells.where(_chunk.c.state == "done")
    places = [{(one.cell, one.seed) for one in some} for some in (source, _finished(source))]
    return sa.and_(
        ~sa.exists().where(*chunks, _is_open),
        *(
            count.scalar_subquery() == len(own)
            for count, own in zip((cells, finished), places, strict=True)
        ),
    )


def _finished(trials: Sequence[Trial]) -> list[Trial]:
    return [one for one in trials if one.state == "finished"]


def _add_chunk(
    connection: Connection,
    study_id: int,
    study: Study,
    panel: Panel,
    seed: int,
    wishes: Sequence[Wish],
) -> None:
    optuna_study_id = optuna_study(connection, study, panel, seed)
    counted = sa.select(sa.func.count()).where(_cell.c.optuna_study_id == optuna_study_id)
    chunk = _chunk.insert().values(study_id=study_id, panel=panel.name, seed=seed)
    chunk_id: int = connection.execute(chunk).inserted_primary_key[0]  # type: ignore[index]
    trial_ids = insert_cells(
        connection,
        panel,
        optuna_study_id,
        [(chunk_id, [wish.cell for wish in wishes])],
        connection.scalar(counted) or 0,
    )
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for trial_id, wish in zip(trial_ids, wishes, strict=True)
        for key, value in wish.memory.items()
    ]
    if rows:
        connection.execute(_sampler.insert(), rows)
