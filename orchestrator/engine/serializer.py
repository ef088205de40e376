"""What DBOS stores is JSON, and nothing else is ever read back.

DBOS unpickles a row tagged "py_pickle" even when it was given a JSON serializer: whoever can write the
database could then run code in every worker. `refuse_pickle` closes that. Imports DBOS: only `runtime` may
import this, at launch.
"""

from typing import Any

from dbos import DBOSPortableJSONSerializer
from dbos._serialization import DefaultSerializer

from orchestrator.diagnostics import Refused


def refuse_pickle() -> None:
    """Make DBOS' pickle serializer refuse both ways, for this process. Repeatable."""

    def refuse(_self: Any, _data: Any) -> Any:
        message = "the state holds pickled data, which ferry never writes and never reads"
        raise Refused(message, hint="somebody else wrote into the state database", code="pickle")

    DefaultSerializer.deserialize = refuse  # type: ignore[method-assign, assignment]
    DefaultSerializer.serialize = refuse  # type: ignore[method-assign, assignment]


def json_serializer() -> DBOSPortableJSONSerializer:
    """Return the serializer that DBOS is given."""
    return DBOSPortableJSONSerializer()
