"""The plan file: YAML that a person writes, read into a checked `PlanFile`, with every problem at its place.

Changes nothing, asks no endpoint, knows no clock and resolves no secret.
"""

from orchestrator.planfile.decode import check_plan, load_plan

__all__ = ["check_plan", "load_plan"]
