"""What is installed and runs: roles, services, software, tasks, auto-start entries, updates."""

from collections.abc import Iterator

from orchestrator.model.facts import AutoStart, ScheduledTask, ServerFacts, Service, Software
from orchestrator.parity.item import Item, Pairs, item, listed
from orchestrator.parity.names import product_name, squeeze
from orchestrator.parity.vocabulary import Naming


def running(facts: ServerFacts, names: Naming) -> Iterator[Item]:
    """Give all of it."""
    yield from (item("role", role.id, name=role.name) for role in facts.roles or ())
    yield from (_service(s, names) for s in facts.services or ())
    yield from (_software(s) for s in facts.software or ())
    yield from (_task(t, names) for t in facts.tasks or ())
    yield from (_autostart(entry) for entry in facts.autostart or ())
    yield from (item("hotfix", fix.id) for fix in facts.hotfixes or ())


def _service(service: Service, names: Naming) -> Item:
    kind = "driver" if service.driver else "service"
    start = service.start.value if service.start else None
    values: Pairs = (("start", start),)
    if not service.driver:
        values += (("account", names.account(service.account or "LocalSystem")),)
    return item(
        kind,
        service.name,
        values,
        display_name=service.display_name,
        image=service.image_path,
        delayed="yes" if service.delayed else "",
        triggers=listed(service.triggers),
    )


def _autostart(entry: AutoStart) -> Item:
    """What a 32-bit server has under Run, its replacement has under Run32: the view makes no difference."""
    name = f"{entry.where.removesuffix('32')}/{entry.name}"
    return item("autostart", name, (("runs", squeeze(entry.command)),), place=entry.where)


def _software(software: Software) -> Item:
    return item(
        "software",
        product_name(software.name or software.key, software.version),
        (("version", software.version),),
        name=software.name,
        publisher=software.publisher,
    )


def _task(task: ScheduledTask, names: Naming) -> Item:
    """Account and triggers were not in the first version of the facts: there they are not compared."""
    values: Pairs = (
        ("enabled", "yes" if task.enabled else "no"),
        ("runs", " && ".join(squeeze(command) for command in task.commands)),
    )
    if task.run_as:
        values += (("account", names.account(task.run_as, local=True)),)
    if task.triggers:
        values += (("when", listed(task.triggers)),)
    return item("task", task.path, values, author=task.author)
