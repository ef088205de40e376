"""The tables of our part of the state database. Structure only; each module beside owns the queries of its
table."""

import sqlalchemy as sa

SCHEMA_VERSION = 1
"""Raised by hand with every change of a table below."""

SCHEMA = "ferry"
"""Our schema on PostgreSQL; SQLite has none and the names stand beside those of DBOS."""

metadata = sa.MetaData()


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, default=default)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


meta = sa.Table("ferry_meta", metadata, _key("key"), _text("value"))

change_sets = sa.Table("ferry_change_sets", metadata, _key("digest"), _text("body"))

runs = sa.Table(
    "ferry_runs",
    metadata,
    _key("run"),
    # Unique: a change set is carried out once.
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    _text("name"),
    _text("kind"),
    _text("undo_of", null=True),
    _text("status"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("started_at"),
    _text("ended_at", null=True),
    # What the operator asked for: the gate before each step reads it.
    sa.Column("paused", sa.Boolean, nullable=False, default=False),
    sa.Column("interrupted", sa.Boolean, nullable=False, default=False),
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
)

hosts = sa.Table(
    "ferry_hosts",
    metadata,
    _key("run"),
    _key("host"),
    sa.Column("position", sa.Integer, nullable=False),
    _text("wave"),
    _text("status"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("code", default=""),
    _text("message", default=""),
    _text("hint", default=""),
)

phases = sa.Table(
    "ferry_phases",
    metadata,
    _key("run"),
    _key("host"),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    _text("outcome"),
)

steps = sa.Table(
    "ferry_steps",
    metadata,
    _key("run"),
    _key("host"),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("step"),
    _text("status"),
    _text("started_at"),
    _text("ended_at", null=True),
    _text("message", default=""),
)

journal = sa.Table(
    "ferry_journal",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _text("run"),
    _text("host"),
    sa.Column("seq", sa.Integer, nullable=False),
    _text("at"),
    _text("event"),
    _text("data"),
    _text("previous"),
    _text("hash"),
    sa.UniqueConstraint("run", "host", "seq"),
)

ledger = sa.Table(
    "ferry_ledger",
    metadata,
    _key("endpoint"),
    _key("kind"),
    _key("object_id"),
    sa.Column("token", sa.Text, nullable=False, index=True),
    sa.Column("run", sa.Text, nullable=False, index=True),
    _text("host"),
    _text("state"),
    _text("at"),
    _text("detail", default=""),
)

evidence = sa.Table(
    "ferry_evidence",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _text("run"),
    _text("host"),
    _text("kind"),
    _text("at"),
    _text("sha256"),
    _text("body"),
    sa.Index("ferry_evidence_of_host", "run", "host", "kind"),
)

approvals = sa.Table(
    "ferry_approvals",
    metadata,
    _key("digest"),
    # The name in one case, so that "Ann" and "ann" are one person; `name` keeps what was written.
    _key("person"),
    _text("name"),
    _text("at"),
    _text("comment", default=""),
)

leases = sa.Table(
    "ferry_leases",
    metadata,
    _key("run"),
    _key("host"),
    sa.Column("generation", sa.Integer, nullable=False),
    # The executor that holds it; empty when nobody does.
    sa.Column("owner", sa.Text, nullable=False, index=True),
)

executors = sa.Table(
    "ferry_executors",
    metadata,
    _key("executor"),
    _text("heartbeat_at"),
    # PostgreSQL only: the server process behind the connection that holds the lock.
    sa.Column("backend_pid", sa.Integer, nullable=True),
)


def matching(table: sa.Table, *names: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Compare columns with parameters `of_COLUMN`, for statements that are built once. An update may then set
    a column that it is found by."""
    return tuple(table.c[name] == sa.bindparam(f"of_{name}") for name in names)
