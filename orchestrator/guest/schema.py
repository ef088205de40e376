"""The JSON Schema of ServerFacts, for whoever reads inventories; made from the models.

`python -m orchestrator.guest.schema > orchestrator/guest/facts.schema.json` writes it anew.
"""

import json
import sys
from typing import Any

from orchestrator.model.facts import FACTS_VERSION, ServerFacts


def schema_json() -> str:
    """Give the schema as JSON text that ends in a line break; the same text for the same models."""
    schema = _plain(ServerFacts.model_json_schema(mode="serialization"))
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"ferry6003 ServerFacts, version {FACTS_VERSION}",
    }
    return json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=2) + "\n"


def _plain(node: Any) -> Any:
    """Leave out the titles, which only repeat the names, and the line breaks of descriptions."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {k: v for k, v in node.items() if not (k == "title" and isinstance(v, str))}
    return {
        k: " ".join(v.split()) if k == "description" and isinstance(v, str) else _plain(v)
        for k, v in kept.items()
    }


if __name__ == "__main__":
    sys.stdout.write(schema_json())
