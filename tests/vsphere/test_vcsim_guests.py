"""The rig's simulated guests behind VMware Tools: files, programs, accounts."""

import base64
import contextlib
import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyVmomi import vim

from tests.rigs.vcsim import Vcsim, vcsim
from tests.vsphere.vcsim_kit import SERVICE, inside, login, machine, until

CMD = r"C:\Windows\System32\cmd.exe"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    """One simulated vCenter for this module."""
    with vcsim(tmp_path_factory.mktemp("vc"), hosts=1, datastores=2, api="8.0.3.0") as running:
        yield running


@pytest.fixture(scope="module")
def si(site: Vcsim) -> vim.ServiceInstance:
    """A client of it."""
    return site.connect()


def guest(site: Vcsim, si: vim.ServiceInstance, name: str) -> vim.VirtualMachine:
    """Make a running machine with a guest that knows the account of `login`."""
    vm = machine(site, si, name, running=True, tools=True)
    site.control("guest", moref=vm._moId, username="svc", password=SERVICE, ready=True)
    return vm


def ran(si: vim.ServiceInstance, vm: vim.VirtualMachine, program: str, arguments: str) -> int:
    """Run a program in a guest to its end."""
    processes = inside(si).processManager
    spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=program, arguments=arguments)
    pid = processes.StartProgramInGuest(vm, login(), spec)

    def done() -> Any:
        (one,) = processes.ListProcessesInGuest(vm, login(), [pid])
        return one.endTime and one

    return int(until(done).exitCode)


def transfer(site: Vcsim, url: str, content: bytes | None = None) -> tuple[int, bytes]:
    """Upload to an address of the guest file manager, or download: the status and what came."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "*")
    connection = http.client.HTTPSConnection(site.server, site.port, context=site.context(), timeout=30)
    with contextlib.closing(connection):
        method = "GET" if content is None else "PUT"
        connection.request(method, f"{parts.path}?{parts.query}", content)
        reply = connection.getresponse()
        return reply.status, reply.read()


def test_guest_files_are_put_listed_fetched_and_deleted(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm, files = guest(site, si, "files"), inside(si).fileManager
    path, content = r"C:\Work\a.bin", bytes(range(256)) * 300
    attributes = vim.vm.guest.FileManager.FileAttributes()

    def upload(size: int = len(content), *, over: bool = False) -> str:
        return str(files.InitiateFileTransferToGuest(vm, login(), path, attributes, size, over))

    with pytest.raises(vim.fault.FileNotFound):
        upload()
    files.MakeDirectoryInGuest(vm, login(), r"C:\Work", False)
    url = upload()
    assert transfer(site, url, content)[0] == 200
    assert transfer(site, url, content)[0] == 404
    with pytest.raises(vim.fault.FileAlreadyExists):
        upload()
    assert transfer(site, upload(5, over=True), b"1234")[0] == 500
    listed = files.ListFilesInGuest(vm, login(), r"c:/work", 0, 0, r"\.bin$").files
    assert [(one.path, one.size, one.type) for one in listed] == [("a.bin", len(content), "file")]
    assert transfer(site, files.InitiateFileTransferFromGuest(vm, login(), path).url) == (200, content)
    told = site.control("guest_file", moref=vm._moId, path=path)["content"]
    assert base64.b64decode(told) == content
    files.DeleteFileInGuest(vm, login(), path)
    with pytest.raises(vim.fault.FileNotFound):
        files.InitiateFileTransferFromGuest(vm, login(), path)
    assert site.control("guest_file", moref=vm._moId, path=path)["content"] is None


def test_programs_run_redirect_and_end_with_their_code(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm = guest(site, si, "programs")

    def output() -> bytes:
        told = site.control("guest_file", moref=vm._moId, path=r"C:\Temp\o.txt")["content"]
        return base64.b64decode(told)

    arguments = '"a  b" "$HOME" "; exit 7" "grüße" "say \\"x\\""'
    assert ran(si, vm, CMD, f'/d /s /c ""C:\\Tools\\echo.exe" {arguments} > "C:\\Temp\\o.txt" 2>&1"') == 0
    assert output().decode() == 'a  b $HOME ; exit 7 grüße say "x"\r\n'
    assert ran(si, vm, "cmd.exe", r"/d /c echo %SystemRoot%> C:\Temp\o.txt") == 0
    assert output() == b"C:\\Windows\r\n"
    nested = f'/d /s /c ""{CMD}" /d /c ^"echo ^%SystemRoot^%^" >"C:\\Temp\\o.txt" 2>&1"'
    assert ran(si, vm, CMD, nested) == 0
    assert output() == b"C:\\Windows\r\n"
    assert ran(si, vm, r"C:\Tools\fail.exe", "") == 3
    assert ran(si, vm, CMD, r"/c C:\Tools\fail.exe && echo never > C:\Temp\never.txt") == 3
    assert site.control("guest_file", moref=vm._moId, path=r"C:\Temp\never.txt")["content"] is None
    assert ran(si, vm, CMD, r"/c nosuch > C:\Temp\o.txt 2>&1") == 1
    with pytest.raises(vim.fault.FileNotFound):
        ran(si, vm, "no-such-program", "")
    planted = {"output": base64.b64encode(b"said").decode(), "exit_code": 5}
    planted["file"] = base64.b64encode(b"{}").decode()
    cscript = r"C:\Windows\System32\cscript.exe"
    site.control("guest", moref=vm._moId, programs={cscript: planted})
    assert ran(si, vm, CMD, rf'/c ""{cscript}" //nologo x.vbs "C:\Temp\o.json" > C:\Temp\o.txt"') == 5
    assert output() == b"said"
    told = site.control("guest_file", moref=vm._moId, path=r"C:\Temp\o.json")["content"]
    assert base64.b64decode(told) == b"{}"


def test_endless_program_can_be_ended(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm, processes = guest(site, si, "sleeper"), inside(si).processManager
    spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=r"C:\Tools\sleep.exe", arguments="60")
    pid = processes.StartProgramInGuest(vm, login(), spec)
    assert processes.ListProcessesInGuest(vm, login(), [pid])[0].endTime is None
    processes.TerminateProcessInGuest(vm, login(), pid)
    assert processes.ListProcessesInGuest(vm, login(), [pid])[0].endTime is not None
    with pytest.raises(vim.fault.GuestProcessNotFound):
        processes.TerminateProcessInGuest(vm, login(), 1)


def test_guest_that_is_not_ready_or_knows_another_account_refuses(
    site: Vcsim, si: vim.ServiceInstance
) -> None:
    vm, auth = guest(site, si, "refusing"), inside(si).authManager
    with pytest.raises(vim.fault.InvalidGuestLogin):
        auth.ValidateCredentialsInGuest(vm, login(password="wrong"))
    site.control("guest", moref=vm._moId, outdated=True)
    with pytest.raises(vim.fault.GuestComponentsOutOfDate):
        auth.ValidateCredentialsInGuest(vm, login())
    site.control("guest", moref=vm._moId, ready=False)
    assert vm.guest.guestOperationsReady is False
    with pytest.raises(vim.fault.GuestOperationsUnavailable):
        auth.ValidateCredentialsInGuest(vm, login())
    site.control("power", moref=vm._moId, on=False)
    with pytest.raises(vim.fault.InvalidPowerState):
        auth.ValidateCredentialsInGuest(vm, login())
