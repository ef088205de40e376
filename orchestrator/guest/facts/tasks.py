"""Scheduled tasks from their XML files."""

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.facts.triggers import triggers
from orchestrator.guest.facts.xml import BadXml, Element, document
from orchestrator.model.facts import ScheduledTask

MAX_TASK_SIZE = 1024 * 1024
_MAX_COMMANDS = 64


class BadTask(Exception):
    """The file is not a task; the reason is fit to be shown."""


def scheduled_task(path: str, content: bytes) -> ScheduledTask:
    """Read one task file; `path` is the task's own ("\\Branch\\Backup"). Raises BadTask."""
    try:
        root = document(content, MAX_TASK_SIZE)
    except BadXml as fault:
        raise BadTask(str(fault)) from fault
    if root.name != "Task":
        message = "it is not a task"
        raise BadTask(message)
    return ScheduledTask(
        path=clean(path, LINE),
        enabled=root.value("Settings/Enabled").lower() not in ("false", "0"),
        commands=_commands(root),
        author=clean(root.value("RegistrationInfo/Author"), NAME),
        run_as=_run_as(root),
        triggers=triggers(root),
    )


def _commands(root: Element) -> tuple[str, ...]:
    """Return the command lines of the actions that run a program; COM handlers and mails are none."""
    actions = [action for _, action in zip(range(_MAX_COMMANDS), root.all("Actions/Exec"), strict=False)]
    lines = (f"{action.value('Command')} {action.value('Arguments')}" for action in actions)
    return tuple(clean(line) for line in lines if line.strip())


def _run_as(root: Element) -> str:
    """Return the account of the principal that the actions name; without one there is only the first."""
    actions = root.first("Actions")
    wanted = actions.attributes.get("Context", "") if actions else ""
    principals = list(root.all("Principals/Principal"))
    chosen = next((one for one in principals if one.attributes.get("id") == wanted), None)
    chosen = chosen or (principals[0] if principals else None)
    if chosen is None:
        return ""
    return clean(chosen.value("UserId") or chosen.value("GroupId"), NAME)
