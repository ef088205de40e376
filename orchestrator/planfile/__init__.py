"""The plan file: YAML that a person writes, read into a checked `PlanFile`, with every problem at its place.

Changes nothing, asks no endpoint, knows no clock and resolves no secret.
"""

from orchestrator.planfile.decode import check_plan, load_plan
from orchestrator.planfile.draft import fill_in, write_new, yaml_text
from orchestrator.planfile.importer import import_csv


def schema_json() -> str:
    """Give the format's JSON Schema as text. (`schema` is also a program, so it is not imported above.)"""
    from orchestrator.planfile import schema

    return schema.schema_json()


__all__ = ["check_plan", "fill_in", "import_csv", "load_plan", "schema_json", "write_new", "yaml_text"]
