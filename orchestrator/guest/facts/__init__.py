"""Facts from registry keys and files, the same functions whichever way the keys and files were had."""

from orchestrator.guest.facts.identity import control_set, identity
from orchestrator.guest.facts.network import hosts_lines, network
from orchestrator.guest.facts.services import services, shares
from orchestrator.guest.facts.software import software
from orchestrator.guest.facts.tasks import MAX_TASK_SIZE, BadTask, scheduled_task

__all__ = [
    "MAX_TASK_SIZE",
    "BadTask",
    "control_set",
    "hosts_lines",
    "identity",
    "network",
    "scheduled_task",
    "services",
    "shares",
    "software",
]
