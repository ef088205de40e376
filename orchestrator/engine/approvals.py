"""Consent of named people, bound to one digest."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from orchestrator.diagnostics import Refused
from orchestrator.engine.state import State
from orchestrator.engine.tables import approvals
from orchestrator.history import Approval


def record(state: State, digest: str, name: str, at: datetime, comment: str = "") -> Approval:
    """Record one approval. The same person again changes nothing and gets the first one back.

    Raises Refused (code "no-name") for an empty name.
    """
    name = " ".join(name.split())
    if not name:
        message = "an approval needs a name"
        raise Refused(message, hint="say who approves with --as NAME", code="no-name")
    made = Approval(digest=digest, name=name, at=at, comment=comment)
    values = made.model_dump() | {"at": at.isoformat(), "person": name.casefold()}
    try:
        with state.write() as connection:
            connection.execute(approvals.insert().values(**values))
    except IntegrityError:
        return next(a for a in of_digest(state, digest) if a.name.casefold() == name.casefold())
    return made


def of_digest(state: State, digest: str) -> tuple[Approval, ...]:
    """Return who approved, in the order of consent."""
    query = (
        sa.select(approvals).where(approvals.c.digest == digest).order_by(approvals.c.at, approvals.c.person)
    )
    with state.read() as connection:
        rows = connection.execute(query).all()
    return tuple(Approval(digest=r.digest, name=r.name, at=r.at, comment=r.comment) for r in rows)


def counting(found: tuple[Approval, ...], author: str) -> tuple[Approval, ...]:
    """Return those that count: the author's own does not."""
    return tuple(a for a in found if a.name.casefold() != " ".join(author.split()).casefold())
