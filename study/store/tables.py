"""The tool's own tables, beside Optuna's in the same database.

Optuna's tables are the record that users see: one Optuna study per panel and seed, one trial
per cell. These tables add what Optuna has no place for: the study as it was asked for, who ran
it with which versions, which chunk each cell belongs to and who holds that chunk, and the
curves.
"""

import sqlalchemy as sa

from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.store.columns import Bytes, Number, Whole, Words

SCHEMA_VERSION = 8

ENDED = ("done", "pruned")  # states of chunks whose cells have results

metadata = sa.MetaData()

schema_table = sa.Table(
    "landscape_schema", metadata, sa.Column("version", Whole, primary_key=True)
)

study_table = sa.Table(
    "landscape_study",
    metadata,
    sa.Column("study_id", Whole, primary_key=True),
    sa.Column("name", Words(255), nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),  # TOML
    sa.Column("fingerprint", Words(64), nullable=False),  # of the task's data and network
    sa.Column("source", Words(64)),  # digest of a user's own task's; null: older, built in
    sa.Column("created", Number, nullable=False),  # seconds since 1970, database clock
    sa.Column("seal", Words(16)),  # see `seals`; null: older
)

run_table = sa.Table(  # one row per `landscape run` or `resume` that trained something
    "landscape_run",
    metadata,
    sa.Column("run_id", Whole, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False, index=True),
    sa.Column("started", Number, nullable=False),
    sa.Column("ended", Number),  # null while it runs, and for ever if it was killed
    sa.Column("expires", Number),  # of its parent's lease: workers of a lost parent stop
    sa.Column("provenance", sa.Text, nullable=False),  # JSON
)

chunk_table = sa.Table(  # cells trained together: claimed, beaten and recorded as one
    "landscape_chunk",
    metadata,
    sa.Column("chunk_id", Whole, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False),
    sa.Column("panel", Words(255), nullable=False),
    sa.Column("seed", Whole(big=True), nullable=False),
    sa.Column("state", Words(8), nullable=False, default="open"),  # open, done, failed, pruned
    sa.Column("owner", Words(64)),  # token of the worker that holds it
    sa.Column("expires", Number, nullable=False, default=0.0),  # of its lease, database clock
    sa.Column("host", Words(255)),
    sa.Column("machine", Words(255)),  # this boot of this machine: where pid means something
    sa.Column("pid", Whole),
    sa.Column("born", Number),  # when process pid started
    sa.Column("device", Words(64)),
    sa.Column("run_id", sa.ForeignKey(run_table.c.run_id)),
    sa.Column("beaten", Number),  # when its worker last gave a sign of life, database clock
    sa.Column("attempts", Whole, nullable=False, default=0),  # claims not released
    sa.Column("falls", Whole, server_default="0"),  # times lost with a whole run
    sa.Column("furthest", Number(53)),  # epochs that a checkpoint held at most
    sa.Column("reason", Words),  # why it failed, or what it raised when trained together
    sa.Column("seconds", Number),  # wall time of the training
    sa.Index("landscape_chunk_queue", "study_id", "state", "expires"),
)
# Chunks in the order in which they are claimed, which spares sorting them each time.
chunk_order = sa.Index(
    "landscape_chunk_order",
    chunk_table.c.study_id,
    chunk_table.c.state,
    chunk_table.c.attempts,
    chunk_table.c.falls,
    chunk_table.c.chunk_id,
)

cell_table = sa.Table(
    "landscape_cell",
    metadata,
    sa.Column("trial_id", Whole, primary_key=True, autoincrement=False),  # Optuna's trials
    sa.Column("optuna_study_id", Whole, nullable=False),  # Optuna's studies
    sa.Column("chunk_id", sa.ForeignKey(chunk_table.c.chunk_id), nullable=False, index=True),
    sa.Column("alpha", Number(53), nullable=False),
    sa.Column("lambda", Number(53), nullable=False),
    sa.Column("own", Words(255), nullable=False, server_default=""),  # "beta2=0.99"; since 8
    sa.Column("train_loss", Number(53)),  # null: not finished, or diverged
    sa.Column("test_loss", Number(53)),
    # From 1; 0: did not diverge; -1: nobody knows when (see `results`); null: not finished.
    sa.Column("diverged_epoch", Whole),
    sa.Column("seal", Words(16)),  # see `seals`; null: not finished, or older
    sa.UniqueConstraint("optuna_study_id", "alpha", "lambda", "own"),
)

design_table = sa.Table(  # a panel whose cells are asked for; since 7
    "landscape_design",
    metadata,
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), primary_key=True),
    sa.Column("panel", Words(255), primary_key=True),
    sa.Column("asked", Whole, nullable=False, default=0),  # trainings, so far
    sa.Column("settled", Words),  # why nothing more is asked for; null: more is
)

curve_table = sa.Table(
    "landscape_curve",
    metadata,
    sa.Column("trial_id", Whole, primary_key=True, autoincrement=False),
    sa.Column("metric", Words(32), primary_key=True),
    sa.Column("n", Whole, nullable=False),  # epochs
    sa.Column("data", Bytes, nullable=False),  # n little-endian float32
    sa.Column("seal", Words(16)),  # see `seals`; null: older
)

# What happened inside of cells is stored as curves too, by names that no metric has.
MECHANISM_CURVES = {f"mechanism/{quantity}": quantity for quantity in MECHANISM}

witness_table = sa.Table(  # a cell trained again by the plain loop
    "landscape_witness",
    metadata,
    sa.Column("witness_id", Whole, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False, index=True),
    sa.Column("written", Number(53), nullable=False),  # seconds since 1970, database clock
    sa.Column("panel", Words(255), nullable=False),
    sa.Column("seed", Whole(big=True), nullable=False),
    sa.Column("alpha", Number(53), nullable=False),
    sa.Column("lambda", Number(53), nullable=False),
    sa.Column("own", Words(255)),  # as of a cell; null: none
    sa.Column("epochs", Whole, nullable=False),
    sa.Column("recorded", Number(53)),  # percent; null: no finite number, as below
    sa.Column("found", Number(53)),  # percent
    sa.Column("rounding", Number(53)),  # points
    sa.Column("agrees", sa.Boolean, nullable=False),
    sa.Column("why", Words, nullable=False),
    sa.Column("seal", Words(16)),  # see `seals`; null: older
)

# Columns that databases of an older schema may lack; all may be null.
ADDED = (
    *(run_table.c.expires, chunk_table.c.beaten, chunk_table.c.reason),  # since 2
    chunk_table.c.falls,  # since 3
    *(study_table.c.source, study_table.c.seal, chunk_table.c.furthest),  # since 5
    *(cell_table.c.seal, curve_table.c.seal, witness_table.c.seal),
    witness_table.c.own,  # since 8
)
FIRST = 1  # schema that can be upgraded
READABLE = (3, 4, 5, 6, 7)  # older ones that hold all that readers need
