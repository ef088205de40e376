"""The JSON Schema is what the models say, and what the templates and the code agree on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.planfile import schema_json

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads(schema_json())
TEMPLATES = sorted((ROOT / "plans" / "templates").glob("*.yaml"))


def test_the_file_is_up_to_date() -> None:
    written = (ROOT / "plans" / "schema.json").read_text()
    assert written == schema_json(), "run: python -m orchestrator.planfile.schema > plans/schema.json"


def complaints(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """Judge a value by the part of JSON Schema that ours uses."""
    if "$ref" in schema:
        target = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        return complaints(value, target, at)
    for word in ("oneOf", "anyOf"):
        if word in schema:
            fitting = [o for o in schema[word] if not complaints(value, o, at)]
            return [] if len(fitting) == 1 else [f"{at}: fits {len(fitting)} of {word}"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema and type(value) is not kinds[schema["type"]]:
        return [f"{at}: {value!r} is not {schema['type']}"]
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return [f"{at}: {value!r} is not allowed"]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [f"{at}: {value!r} does not match"]
    if isinstance(value, list):
        return [c for i, item in enumerate(value) for c in complaints(item, schema["items"], f"{at}[{i}]")]
    return in_object(value, schema, at) if isinstance(value, dict) else []


def in_object(value: dict[str, Any], schema: dict[str, Any], at: str) -> list[str]:
    found = [f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, child in value.items():
        by_pattern = [s for p, s in schema.get("patternProperties", {}).items() if re.search(p, key)]
        below = schema.get("properties", {}).get(key) or next(iter(by_pattern), None)
        found += complaints(child, below, f"{at}.{key}") if below else [f"{at}: {key} is unknown"]
    return found


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.stem)
def test_templates_fit(template: Path) -> None:
    loaded = load(re.sub(r"(opens|closes|expires): ([0-9T:-]+)", r'\1: "\2"', template.read_text()))
    assert complaints(loaded, SCHEMA) == []


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        ("memory: 4GB", "memory: 4GiB"),
        ("disposition: contian", "disposition: contain"),
        ("relase: 2025", "release: 2025"),
        ("release: 2019", "release: 2025"),
        ("provider: kmv", "provider: kvm"),
    ],
)
def test_the_schema_refuses_mistakes(wrong: str, instead: str) -> None:
    text = (ROOT / "plans" / "templates" / "contain-kvm.yaml").read_text()
    text = re.sub(r"(opens|closes|expires): ([0-9T:-]+)", r'\1: "\2"', text)
    assert instead in text
    assert complaints(load(text.replace(instead, wrong)), SCHEMA) != []


def test_every_key_is_described() -> None:
    for name, part in SCHEMA["$defs"].items():
        for key, value in part.get("properties", {}).items():
            assert "description" in value or "$ref" in value or key == "provider", f"{name}.{key}"
