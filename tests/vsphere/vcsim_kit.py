"""What the tests of the simulated vCenter share: its machines, tasks and guest accounts."""

import time
from typing import Any

from pyVmomi import vim

from tests.rigs.vcsim import Vcsim

SERVICE = "geheim-Service-3"


def until(what: Any, seconds: float = 10.0) -> Any:
    """Return the first true result of a function."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


def ended(task: vim.Task) -> Any:
    """Return a task's result; its fault is raised."""
    info = until(lambda: task.info.state in ("success", "error") and task.info)
    if info.state == "error":
        raise info.error
    return info.result


def machine(site: Vcsim, si: vim.ServiceInstance, name: str, **more: Any) -> vim.VirtualMachine:
    """Make a machine."""
    more = {"nics": ["DC0_DVPG0"], "disks": [{"size": 1 << 20}], **more}
    made = site.control("template" if more.pop("template", False) else "machine", name=name, **more)
    return vim.VirtualMachine(made["moref"], si._stub)


def card(vm: vim.VirtualMachine) -> Any:
    """Return the first network card."""
    return next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard))


def edit(device: Any) -> vim.vm.ConfigSpec:
    """Return the change that puts a device in the place of the one with its key."""
    operation = vim.vm.device.VirtualDeviceSpec.Operation.edit
    change = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
    return vim.vm.ConfigSpec(deviceChange=[change])


def inside(si: vim.ServiceInstance) -> Any:
    """Return the guest operations."""
    return si.content.guestOperationsManager


def login(user: str = "svc", password: str = SERVICE) -> Any:
    """Return an account in a guest."""
    return vim.vm.guest.NamePasswordAuthentication(username=user, password=password, interactiveSession=False)
