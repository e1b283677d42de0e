"""The tool's own tables, beside Optuna's in the same database.

Optuna's tables are the record that users see: one Optuna study per panel and seed, one trial
per cell. These tables add what Optuna has no place for: the study as it was asked for, who ran
it with which versions, which chunk each cell belongs to and who holds that chunk, and the
curves.
"""

import sqlalchemy as sa

SCHEMA_VERSION = 5

metadata = sa.MetaData()

schema_table = sa.Table(
    "landscape_schema", metadata, sa.Column("version", sa.Integer, primary_key=True)
)

study_table = sa.Table(
    "landscape_study",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),  # TOML
    sa.Column("fingerprint", sa.String(64), nullable=False),  # of the task's data and network
    sa.Column("source", sa.String(64)),  # digest of a user's own task's; null: older, built in
    sa.Column("created", sa.Float, nullable=False),  # seconds since 1970, database clock
)

run_table = sa.Table(  # one row per `landscape run` or `resume` that trained something
    "landscape_run",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False, index=True),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),  # null while it runs, and for ever if it was killed
    sa.Column("expires", sa.Float),  # of its parent's lease: workers of a lost parent stop
    sa.Column("provenance", sa.Text, nullable=False),  # JSON
)

chunk_table = sa.Table(  # cells trained together: claimed, beaten and recorded as one
    "landscape_chunk",
    metadata,
    sa.Column("chunk_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False),
    sa.Column("panel", sa.String(255), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(8), nullable=False, default="open"),  # open, done, failed
    sa.Column("owner", sa.String(64)),  # token of the worker that holds it
    sa.Column("expires", sa.Float, nullable=False, default=0.0),  # of its lease, database clock
    sa.Column("host", sa.String(255)),
    sa.Column("machine", sa.String(255)),  # this boot of this machine: where pid means something
    sa.Column("pid", sa.Integer),
    sa.Column("born", sa.Float),  # when process pid started
    sa.Column("device", sa.String(64)),
    sa.Column("run_id", sa.ForeignKey(run_table.c.run_id)),
    sa.Column("beaten", sa.Float),  # when its worker last gave a sign of life, database clock
    sa.Column("attempts", sa.Integer, nullable=False, default=0),  # claims not released
    sa.Column("falls", sa.Integer, server_default="0"),  # times lost with a whole run
    sa.Column("furthest", sa.Float(53)),  # epochs that a checkpoint held at most
    sa.Column("reason", sa.Text),  # why it failed, or what it raised when trained together
    sa.Column("seconds", sa.Float),  # wall time of the training
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
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),  # Optuna's trials
    sa.Column("optuna_study_id", sa.Integer, nullable=False),  # Optuna's studies
    sa.Column("chunk_id", sa.ForeignKey(chunk_table.c.chunk_id), nullable=False, index=True),
    sa.Column("alpha", sa.Float(53), nullable=False),
    sa.Column("lambda", sa.Float(53), nullable=False),
    sa.Column("train_loss", sa.Float(53)),  # null: not finished, or diverged
    sa.Column("test_loss", sa.Float(53)),
    sa.Column("diverged_epoch", sa.Integer),  # from 1; 0: did not diverge; null: not finished
    sa.UniqueConstraint("optuna_study_id", "alpha", "lambda"),
)

curve_table = sa.Table(
    "landscape_curve",
    metadata,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metric", sa.String(32), primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),  # epochs
    sa.Column("data", sa.LargeBinary, nullable=False),  # n little-endian float32
)

witness_table = sa.Table(  # a cell trained again by the plain loop
    "landscape_witness",
    metadata,
    sa.Column("witness_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(study_table.c.study_id), nullable=False, index=True),
    sa.Column("written", sa.Float(53), nullable=False),  # seconds since 1970, database clock
    sa.Column("panel", sa.String(255), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("alpha", sa.Float(53), nullable=False),
    sa.Column("lambda", sa.Float(53), nullable=False),
    sa.Column("epochs", sa.Integer, nullable=False),
    sa.Column("recorded", sa.Float(53)),  # percent; null: no finite number, as below
    sa.Column("found", sa.Float(53)),  # percent
    sa.Column("rounding", sa.Float(53)),  # points
    sa.Column("agrees", sa.Boolean, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

# Columns that databases of an older schema lack, by the version they had; all may be null.
ADDED = {
    1: (run_table.c.expires, chunk_table.c.beaten, chunk_table.c.reason),
    2: (chunk_table.c.falls,),
    3: (),
    4: (study_table.c.source, chunk_table.c.furthest),
}
READABLE = (3, 4)  # older schemas that hold all that readers need
