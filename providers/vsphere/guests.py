"""The way into guests: VMware Tools' guest operations, with the guest account of the endpoint.

Their files go over HTTPS beside the API, often straight to an ESXi host. They hand back no output of a
program: it is written to a file of ours in the guest, fetched, and deleted.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from ntpath import basename, isabs, splitext
from typing import Any, TypeVar

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.guest import GuestLimits, GuestRun, own_file
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import MachineRef, PowerState
from providers.vsphere.batch import of
from providers.vsphere.commandline import arguments_for
from providers.vsphere.convert import power
from providers.vsphere.faults import UNCERTAIN_HINT, permanent
from providers.vsphere.guesttransfer import Transfer
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.settings import opened

T = TypeVar("T")

_READY = ("runtime.powerState", "guest.guestOperationsReady", "guest.toolsRunningStatus")
_FOLDERS = (r"\System32", "", r"\System32\WindowsPowerShell\v1.0")
"""Where a program without a path is looked for, below %SystemRoot%. Not in PATH: a guest is hostile."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_NO_ACCOUNT = "give the endpoint `guest_username` and `guest_password`: an administrator inside the guests"
_NOT_READY = "start it with VMware Tools, or bring the facts by hand: `ferry collector show`"


@dataclass(frozen=True, slots=True)
class _Managers:
    files: Any
    processes: Any


@dataclass(frozen=True, slots=True)
class _Guest:
    """A guest that answers, and who asks."""

    vm: Any
    name: str
    id: str
    auth: Any


class VsphereGuests:
    """The GuestChannel role. Windows guests."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._transfer = Transfer(link)

    def put_file(self, ref: MachineRef, path: str, content: bytes, effect: Effect) -> None:
        """See the contract."""
        guest = self._awake(ref)
        own_file(path, effect)
        entry = f"{ref.id}:{path}"
        effect.intend(ObjectKind.GUEST_FILE, entry, ref.name)
        what, files = f"write {path} in {ref.name}", self._managers.files
        attributes = vim.vm.guest.FileManager.WindowsFileAttributes()

        def write() -> None:
            size = len(content)
            url = files.InitiateFileTransferToGuest(guest.vm, guest.auth, path, attributes, size, True)
            self._transfer.put(what, url, content)

        self._link.act(effect, what, write)
        effect.made(ObjectKind.GUEST_FILE, entry)

    def run(
        self, ref: MachineRef, program: str, arguments: Sequence[str], limits: GuestLimits, effect: Effect
    ) -> GuestRun:
        """See the contract. A program without a path is one of Windows' own."""
        guest = self._awake(ref)
        what = f"run {program} in {ref.name}"
        root = self._root(guest, what)
        output = rf"{root}\Temp\{effect.token}-{uuid.uuid4().hex[:8]}.out"
        line = arguments_for(self._program(guest, root, program), arguments, output)
        entry = f"{ref.id}:{output}"
        effect.intend(ObjectKind.GUEST_FILE, entry, ref.name)
        spec = vim.vm.guest.ProcessManager.ProgramSpec(
            programPath=rf"{root}\System32\cmd.exe", arguments=line, workingDirectory=rf"{root}\Temp"
        )
        processes = self._managers.processes
        pid = self._link.act(effect, what, lambda: processes.StartProgramInGuest(guest.vm, guest.auth, spec))
        effect.made(ObjectKind.GUEST_FILE, entry)
        code = self._ended(guest, what, program, pid, limits.seconds)
        printed, cut = self._read(guest, output, limits.output)
        self.ensure_file_removed(ref, output, effect)
        return GuestRun(exit_code=code, output=printed, cut=cut)

    def read_file(self, ref: MachineRef, path: str, limit: int) -> bytes:
        """See the contract."""
        content, cut = self._read(self._awake(ref), path, limit)
        if cut:
            message = f"{path} in {ref.name} has more than {limit} bytes"
            raise permanent(message)
        return content

    def ensure_file_removed(self, ref: MachineRef, path: str, effect: Effect) -> None:
        """See the contract."""
        guest = self._awake(ref)
        own_file(path, effect)
        what, files = f"delete {path} in {ref.name}", self._managers.files
        if self._exists(guest, what, path):
            try:
                self._link.act(effect, what, lambda: files.DeleteFileInGuest(guest.vm, guest.auth, path))
            except ProviderError as error:
                if error.kind is not ErrorKind.NOT_FOUND:
                    raise
        entry = f"{ref.id}:{path}"
        if effect.owns(ObjectKind.GUEST_FILE, entry):
            effect.removed(ObjectKind.GUEST_FILE, entry)

    @cached_property
    def _managers(self) -> _Managers:
        def ask() -> _Managers:
            manager = self._link.content.guestOperationsManager
            return _Managers(manager.fileManager, manager.processManager)

        return self._link.read("ask for the guest operations", ask)

    def _awake(self, ref: MachineRef) -> _Guest:
        """Return the guest if its Tools take operations now. Raises ProviderError (UNSUPPORTED)."""
        settings, vm = self._link.settings, self._inventory.vm(ref)
        what = f"reach the guest of {ref.name}"
        props = self._link.fetch(what, of(vim.VirtualMachine, [vm], _READY))[vm._moId].props
        if power(props) is not PowerState.ON or not props.get("guest.guestOperationsReady"):
            state = str(props.get("guest.toolsRunningStatus") or "guestToolsNotRunning")
            message = f"cannot {what}: it is {power(props)}, its Tools are {state} and take no operations"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint=_NOT_READY)
        if settings.guest_username is None or settings.guest_password is None:
            message = f"cannot {what}: the endpoint has no account inside the guests"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint=_NO_ACCOUNT)
        secrets = self._link.secrets
        auth = vim.vm.guest.NamePasswordAuthentication(
            username=opened(settings.guest_username, secrets),
            password=opened(settings.guest_password, secrets),
            interactiveSession=False,
        )
        return _Guest(vm, ref.name, ref.id, auth)

    def _root(self, guest: _Guest, what: str) -> str:
        """Return %SystemRoot%: cmd.exe is named by its whole path, or newer Tools refuse it."""
        names, processes = ["SystemRoot"], self._managers.processes
        told = self._link.read(
            what, lambda: processes.ReadEnvironmentVariableInGuest(guest.vm, guest.auth, names)
        )
        for pair in told or ():
            name, _, value = str(pair).partition("=")
            if name.casefold() == "systemroot" and isabs(value):
                return value.rstrip("\\")
        message = f"cannot {what}: the guest names no Windows folder"
        hint = "programs are run in Windows guests only"
        raise ProviderError(ErrorKind.UNSUPPORTED, message, hint=hint)

    def _program(self, guest: _Guest, root: str, program: str) -> str:
        """Return a program's whole path. Raises ProviderError (NOT_FOUND): cmd.exe would only print that."""
        if basename(program) == program:
            file = program if splitext(program)[1] else f"{program}.exe"
            paths = [rf"{root}{folder}\{file}" for folder in _FOLDERS]
        else:
            paths = [program]
        for path in paths:
            if self._exists(guest, f"look for {path} in {guest.name}", path):
                return path
        message = f"there is no program {program} in {guest.name}"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint=f"looked for {', '.join(paths)}")

    def _ended(self, guest: _Guest, what: str, program: str, pid: int, seconds: float) -> int:
        """Wait for the end of a process; return its exit code. Raises ProviderError (TIMEOUT)."""
        processes, until, pause = self._managers.processes, time.monotonic() + seconds, _FIRST_PAUSE

        def look() -> Any:
            return processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])

        while True:
            found = self._link.read(what, look)
            if not found:
                message = f"cannot {what}: the guest does not know process {pid} any more"
                raise ProviderError(ErrorKind.UNCERTAIN, message, hint=UNCERTAIN_HINT)
            if found[0].endTime is not None:
                return int(found[0].exitCode or 0)
            if time.monotonic() > until:
                message = f"{program} did not end within {seconds:g} seconds in {guest.name}"
                raise ProviderError(ErrorKind.TIMEOUT, message, hint="it may go on running there")
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _read(self, guest: _Guest, path: str, limit: int) -> tuple[bytes, bool]:
        """Return the first `limit` bytes of a file, and whether there is more."""
        what, files = f"read {path} in {guest.name}", self._managers.files

        def fetch() -> tuple[bytes, bool]:
            told = files.InitiateFileTransferFromGuest(guest.vm, guest.auth, path)
            content = self._transfer.get(what, told.url, limit + 1)
            return content[:limit], len(content) > limit

        return self._link.read(what, fetch)

    def _exists(self, guest: _Guest, what: str, path: str) -> bool:
        files = self._managers.files
        return self._there(what, lambda: files.ListFilesInGuest(guest.vm, guest.auth, path))

    def _there(self, what: str, ask: Callable[[], object]) -> bool:
        return self._link.find(what, lambda: (ask(), True)[1]) or False
