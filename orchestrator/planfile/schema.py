"""The JSON Schema of a plan file, for editors; made from the models, so that there is one truth.

`python -m orchestrator.planfile.schema > plans/schema.json` writes it anew.
It says less than validation does: what must hold between values is not in it.
"""

import json
import sys
from typing import Any

from orchestrator.planfile.spec import PlanSpec


def schema_json() -> str:
    """Give the schema as JSON text that ends in a line break; the same text for the same models."""
    schema = _plain(PlanSpec.model_json_schema(by_alias=True))
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ferry6003 plan file, format 1",
    }
    return json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=2) + "\n"


def _plain(node: Any) -> Any:
    """Leave out what only we need: null (the format has none), empty defaults, titles, messages' examples."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node:
        kept = [option for option in node["anyOf"] if option != {"type": "null"}]
        rest = {k: v for k, v in node.items() if k != "anyOf"}
        node = kept[0] | rest if len(kept) == 1 else rest | {"anyOf": kept}
    return {k: _below(k, v) for k, v in node.items() if not _ours_only(k, v)}


def _below(key: str, value: Any) -> Any:
    """Below `properties` and `$defs` the keys are names, not keywords."""
    if key in ("properties", "$defs"):
        return {name: _plain(schema) for name, schema in value.items()}
    if key == "description":
        return " ".join(str(value).split())
    return _plain(value)


def _ours_only(key: str, value: Any) -> bool:
    return (key == "default" and value in (None, "")) or key in ("title", "examples")


if __name__ == "__main__":
    sys.stdout.write(schema_json())
