"""The base of every value, and the mark that makes a field material. No I/O here."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict

MATERIAL = "ferry:material"
"""Metadata of a field whose change between preview and apply makes a change set stale (architecture,
section 6, rule 3)."""

T = TypeVar("T")

Material = Annotated[T, MATERIAL]


class Value(BaseModel):
    """A frozen value: compared by content, unknown keys refused, collections as tuples."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="iso8601")


def is_material(metadata: list[Any]) -> bool:
    """Tell whether a pydantic field's metadata carries the material mark."""
    return MATERIAL in metadata
