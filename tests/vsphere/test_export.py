"""Frozen disks of the rig's vCenter, read from the datastore and exported by a lease: the right bytes while
the machine runs on, and after every fault an error, an ended lease, and never a short disk."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import FrozenDisk
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import Consistency, MachineRef
from orchestrator.model.secret import SecretRef
from providers.vsphere import lease as lease_module
from providers.vsphere.convert import describe
from providers.vsphere.disksource import VsphereDiskSource
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from tests.rigs import stream_vmdk
from tests.rigs.certificates import Authority
from tests.rigs.vcsim import Vcsim, vcsim

MIB = 1 << 20
SIZE = 6 * MIB + 3 * 1024
TOKEN = "ferry.run.host.snapshot"


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    with vcsim(tmp_path_factory.mktemp("vcenter")) as started:
        yield started


@pytest.fixture(autouse=True)
def no_fault(sim: Vcsim) -> Iterator[None]:
    sim.control("faults/clear")
    sim.control("lease_timeout", seconds=300)
    yield
    sim.control("faults/clear")


@pytest.fixture
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spools"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@dataclass
class Server:
    """A machine with two disks, its snapshot, and what the disks held when that was made."""

    sim: Vcsim
    ref: MachineRef
    moref: str
    contents: list[bytes]

    def fill(self, disk: int, offset: int, length: int, byte: int) -> None:
        self.sim.control("fill", moref=self.moref, disk=disk, offset=offset, length=length, byte=byte)

    def snapshot(self, instance: Any, token: str = TOKEN) -> None:
        vm = vim.VirtualMachine(self.moref, instance._stub)
        text = describe("a test", token, Consistency.CRASH)
        task = vm.CreateSnapshotEx_Task("ferry", text, False, None)
        while task.info.state not in ("success", "error"):
            time.sleep(0.01)
        assert task.info.state == "success", task.info.error


@pytest.fixture
def instance(sim: Vcsim) -> Any:
    return sim.connect()


@pytest.fixture
def server(sim: Vcsim, instance: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Server:
    """A running machine that was changed after its snapshot."""
    made = make(sim, tmp_path, request.node.name)
    made.snapshot(instance)
    for disk in (0, 1):
        made.fill(disk, MIB - 5, 3 * MIB, 0xEE)
    return made


def make(sim: Vcsim, folder: Path, stem: str, *, running: bool = True) -> Server:
    chance = random.Random(stem)
    contents = []
    for number in (0, 1):
        disk = bytearray(SIZE)
        for offset, length in ((0, 70_000), (2 * MIB + 5, 300_000), (SIZE - 700, 700)):
            disk[offset : offset + length] = chance.randbytes(length)
        (folder / f"disk{number}.raw").write_bytes(disk)
        contents.append(bytes(disk))
    disks = [
        {"image": str(folder / "disk0.raw"), "bus": "ide"},
        {"image": str(folder / "disk1.raw"), "bus": "scsi"},
    ]
    return made_of(sim, stem, disks, contents, running=running)


def made_of(
    sim: Vcsim,
    stem: str,
    disks: list[dict[str, Any]],
    contents: Sequence[bytes] = (),
    *,
    running: bool = True,
) -> Server:
    name = f"m-{random.Random(stem).randbytes(6).hex()}"
    made = sim.control("machine", name=name, running=running, disks=disks, nics=["VM Network"])
    ref = MachineRef(endpoint="vc", id=made["instance_uuid"], name=name)
    return Server(sim, ref, made["moref"], list(contents))


@contextmanager
def connected(sim: Vcsim, access: str = "auto", **changes: Any) -> Iterator[tuple[Link, VsphereDiskSource]]:
    settings: dict[str, Any] = {
        "server": sim.server,
        "port": sim.port,
        "username": sim.user,
        "password": SecretRef(env="RIG_VC_PASSWORD"),
        "ca_file": str(sim.ca_file),
        "disk_access": access,
    }
    given = {key: value for key, value in (settings | changes).items() if value is not None}
    endpoint = EndpointSettings(name="vc", provider="vsphere", settings=given)
    link = Link(endpoint, lambda _: sim.password)
    try:
        yield link, VsphereDiskSource(link, VsphereInventory(link))
    finally:
        link.close()


def contents(disks: tuple[FrozenDisk, ...]) -> list[bytes]:
    return [disk.read(0, disk.size) for disk in disks]


@pytest.fixture
def ended(sim: Vcsim) -> Callable[[], list[str]]:
    """Return how the leases of this test ended."""
    before = {one["lease"] for one in sim.control("leases")["leases"]}

    def states() -> list[str]:
        return [str(o["state"]) for o in sim.control("leases")["leases"] if o["lease"] not in before]

    return states


# -- the right bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("access", ["auto", "datastore", "lease"])
def test_every_way_gives_the_bytes_at_the_snapshot_while_the_machine_runs_on(
    sim: Vcsim, server: Server, spools: Path, ended: Callable[[], list[str]], access: str
) -> None:
    with connected(sim, access) as (_, source), source.open_frozen(server.ref, TOKEN) as disks:
        assert [disk.size for disk in disks] == [SIZE, SIZE]
        assert contents(disks) == server.contents
        server.fill(0, 0, MIB, 0x77)
        assert disks[0].read(0, MIB) == server.contents[0][:MIB]
        assert disks[1].read(SIZE - 3, 3) == server.contents[1][-3:]
        for disk, wanted in zip(disks, server.contents, strict=True):
            at = 0
            for extent in disk.extents():
                assert extent.offset == at
                part = wanted[at : at + extent.length]
                assert not extent.zero or not part.strip(b"\0")
                at += extent.length
            assert at == SIZE
    assert ended() == (["done"] if access == "lease" else [])
    assert list(spools.iterdir()) == []


def test_the_keys_are_those_of_the_machines_disks(sim: Vcsim, server: Server, spools: Path) -> None:
    for access in ("datastore", "lease"):
        with connected(sim, access) as (link, source), source.open_frozen(server.ref, TOKEN) as disks:
            machine = VsphereInventory(link).machine(server.ref)
            assert [disk.key for disk in disks] == [disk.key for disk in machine.disks if not disk.cdrom]


def test_a_second_snapshot_has_a_parent_and_is_exported(
    sim: Vcsim, server: Server, instance: Any, spools: Path, ended: Callable[[], list[str]]
) -> None:
    server.snapshot(instance, "ferry.run.host.second")
    server.fill(0, 0, SIZE, 0x11)
    wanted = [bytearray(content) for content in server.contents]
    for disk in wanted:
        disk[MIB - 5 : 4 * MIB - 5] = b"\xee" * (3 * MIB)
    with connected(sim) as (_, source):
        with source.open_frozen(server.ref, "ferry.run.host.second") as disks:
            assert contents(disks) == wanted
        assert ended() == ["done"]
        with source.open_frozen(server.ref, TOKEN) as disks:
            assert contents(disks) == server.contents
    assert ended() == ["done"]


def test_disk_access_datastore_refuses_what_only_a_lease_can_give(
    sim: Vcsim, server: Server, instance: Any, ended: Callable[[], list[str]]
) -> None:
    server.snapshot(instance, "ferry.run.host.second")
    with connected(sim, "datastore") as (_, source), pytest.raises(ProviderError) as caught:
        source.open_frozen(server.ref, "ferry.run.host.second").__enter__()
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert "disk_access" in caught.value.hint
    assert ended() == []


def test_without_the_token_there_is_nothing_to_open(sim: Vcsim, server: Server) -> None:
    with connected(sim) as (_, source), pytest.raises(ProviderError) as caught:
        source.open_frozen(server.ref, "ferry.other.host.snapshot").__enter__()
    assert caught.value.kind is ErrorKind.NOT_FOUND


def test_a_stopped_machine_is_exported_without_a_snapshot(
    sim: Vcsim, tmp_path: Path, spools: Path, ended: Callable[[], list[str]]
) -> None:
    stopped = make(sim, tmp_path, "stopped", running=False)
    with connected(sim) as (_, source):
        with source.open_stopped(stopped.ref) as disks:
            assert contents(disks) == stopped.contents
        sim.control("power", moref=stopped.moref, on=True)
        with pytest.raises(ProviderError) as caught:
            source.open_stopped(stopped.ref).__enter__()
    assert caught.value.kind is ErrorKind.CONFLICT
    assert ended() == ["done"]


def test_a_disk_that_snapshots_leave_out_is_no_frozen_disk(
    sim: Vcsim, instance: Any, tmp_path: Path, spools: Path
) -> None:
    disks = [{"size": MIB}, {"size": MIB, "mode": "independent_persistent"}]
    mixed = made_of(sim, "independent", disks)
    mixed.snapshot(instance)
    for access in ("datastore", "lease"):
        with connected(sim, access) as (_, source), source.open_frozen(mixed.ref, TOKEN) as (only,):
            assert only.read(0, MIB) == bytes(MIB)


def test_a_disk_of_the_snapshot_that_the_machine_still_writes_is_refused(sim: Vcsim, instance: Any) -> None:
    mapped = made_of(sim, "mapped", [{"size": MIB}, {"size": MIB, "rdm": "virtualMode"}])
    mapped.snapshot(instance)
    with connected(sim) as (_, source), pytest.raises(ProviderError) as caught:
        source.open_frozen(mapped.ref, TOKEN).__enter__()
    assert "the machine writes it" in caught.value.message


# -- the datastore -------------------------------------------------------------------------------------------


def test_small_reads_cost_few_requests_and_few_bytes(sim: Vcsim, server: Server) -> None:
    with connected(sim, "datastore") as (_, source), source.open_frozen(server.ref, TOKEN) as (disk, _):
        sim.control("counts/reset")
        for at in range(0, 2 * MIB, 4096):
            assert disk.read(at, 4096) == server.contents[0][at : at + 4096]
        assert sim.control("counts")["calls"].get("GET /folder", 0) <= 5


def test_several_threads_read_the_same_disk(sim: Vcsim, server: Server) -> None:
    chance = random.Random(1)
    places = [chance.randrange(SIZE - 5000) for _ in range(200)]
    with (
        connected(sim, "datastore") as (_, source),
        source.open_frozen(server.ref, TOKEN) as (disk, _),
        ThreadPoolExecutor(4) as pool,
    ):
        found = list(pool.map(lambda at: disk.read(at, 5000), places))
    assert found == [server.contents[0][at : at + 5000] for at in places]


def test_the_cache_is_bounded(sim: Vcsim, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.vsphere.ranges._KEPT", 4)
    with connected(sim, "datastore") as (_, source), source.open_frozen(server.ref, TOKEN) as (disk, _):
        assert disk.read(0, SIZE) == server.contents[0]
        assert disk.read(0, SIZE) == server.contents[0]
        assert len(disk._blocks) <= 4  # type: ignore[attr-defined]


def test_reads_past_the_end_are_refused(sim: Vcsim, server: Server) -> None:
    with (
        connected(sim, "datastore") as (_, source),
        source.open_frozen(server.ref, TOKEN) as (disk, _),
        pytest.raises(ProviderError) as caught,
    ):
        disk.read(SIZE - 1, 2)
    assert caught.value.kind is ErrorKind.PERMANENT


def test_a_session_that_ended_is_opened_again_while_a_disk_is_read(sim: Vcsim, server: Server) -> None:
    with connected(sim, "datastore") as (_, source), source.open_frozen(server.ref, TOKEN) as (disk, _):
        sim.control("session/expire")
        assert disk.read(3 * MIB, MIB) == server.contents[0][3 * MIB : 4 * MIB]


def test_a_connection_that_breaks_once_is_made_again_and_one_that_stays_broken_is_an_error(
    sim: Vcsim, server: Server
) -> None:
    with connected(sim, "datastore") as (_, source), source.open_frozen(server.ref, TOKEN) as (disk, _):
        sim.control("fault", method="FOLDER", kind="cut", after=1000)
        assert disk.read(3 * MIB, MIB) == server.contents[0][3 * MIB : 4 * MIB]
        sim.control("fault", method="FOLDER", kind="cut", after=1000, times=-1)
        with pytest.raises(ProviderError) as caught:
            disk.read(5 * MIB, 1000)
    assert caught.value.kind is ErrorKind.TRANSIENT


def test_a_frozen_file_that_is_written_meanwhile_is_noticed(sim: Vcsim, server: Server) -> None:
    with connected(sim, "datastore") as (_, source), source.open_frozen(server.ref, TOKEN) as (disk, _):
        (flat,) = [p for p in (sim.folder / "work").rglob("*-flat.vmdk") if _holds(p, server.contents[0])]
        os.utime(flat, (1, 1))
        with pytest.raises(ProviderError) as caught:
            disk.read(5 * MIB, 1000)
    assert "was changed while it was read" in caught.value.message


def _holds(path: Path, content: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(4096) == content[:4096]


# -- the lease -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 100, 512, 65536, 70_000, 300_000])
def test_a_stream_cut_anywhere_is_an_error_and_the_lease_is_aborted(
    sim: Vcsim, server: Server, spools: Path, ended: Callable[[], list[str]], after: int
) -> None:
    sim.control("fault", method="NFC", kind="cut", after=after, times=-1)
    with connected(sim, "lease") as (_, source), pytest.raises(ProviderError):
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert ended() == ["error"]
    assert list(spools.iterdir()) == []


def test_the_second_stream_cut_leaves_no_disk_either(
    sim: Vcsim, server: Server, spools: Path, ended: Callable[[], list[str]]
) -> None:
    sim.control("fault", method="NFC", kind="cut", after=80_000, skip=1)
    with connected(sim, "lease") as (_, source), pytest.raises(ProviderError):
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert ended() == ["error"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_the_lease_is_aborted_whatever_ends_the_export(
    sim: Vcsim,
    server: Server,
    spools: Path,
    ended: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(lease_module, "spool", interrupted)
    with connected(sim, "lease") as (_, source), pytest.raises(error):
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert ended() == ["error"]


def test_a_slow_stream_outlives_the_leases_time_out_because_progress_is_reported(
    sim: Vcsim, server: Server, spools: Path, ended: Callable[[], list[str]]
) -> None:
    sim.control("lease_timeout", seconds=1)
    sim.control("fault", method="NFC", kind="delay", ms=2500)
    with connected(sim, "lease") as (_, source), source.open_frozen(server.ref, TOKEN) as disks:
        assert contents(disks) == server.contents
    assert ended() == ["done"]


def test_a_lease_that_timed_out_is_an_error(
    sim: Vcsim,
    server: Server,
    spools: Path,
    ended: Callable[[], list[str]],
) -> None:
    sim.control("lease_timeout", seconds=1)
    sim.control("fault", method="NFC", kind="delay", ms=2500)
    sim.control("fault", method="HttpNfcLeaseProgress", kind="cut", times=-1)
    with connected(sim, "lease") as (_, source), pytest.raises(ProviderError):
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert ended() == ["error"]


def test_a_lease_that_never_gets_ready_is_given_up(
    sim: Vcsim, server: Server, ended: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "READY_SECONDS", 0.2)
    sim.control("task_delay", method="ExportSnapshot", ms=1500)
    try:
        with connected(sim, "lease") as (_, source), pytest.raises(ProviderError) as caught:
            source.open_frozen(server.ref, TOKEN).__enter__()
    finally:
        sim.control("task_delay", method="ExportSnapshot", ms=0)
    assert caught.value.kind is ErrorKind.TIMEOUT
    assert ended() == ["error"]


def test_an_export_that_vcenter_refuses_says_why(sim: Vcsim, server: Server) -> None:
    sim.control("fault", method="ExportSnapshot", kind="denied", privilege="VApp.Export")
    with connected(sim, "lease") as (_, source), pytest.raises(ProviderError) as caught:
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert caught.value.kind is ErrorKind.DENIED
    assert "VApp.Export" in caught.value.message


def test_a_completion_that_fails_is_an_error_and_no_disk_is_given_out(
    sim: Vcsim, server: Server, spools: Path, ended: Callable[[], list[str]]
) -> None:
    sim.control("fault", method="HttpNfcLeaseComplete", kind="cut")
    with connected(sim, "lease") as (_, source), pytest.raises(ProviderError):
        source.open_frozen(server.ref, TOKEN).__enter__()
    assert ended() == ["error"]


# -- which stream is which disk's ----------------------------------------------------------------------------


def offer(key: str) -> Any:
    return vim.HttpNfcLease.DeviceUrl(
        key=key, importKey="", url="https://*/nfc/x", sslThumbprint="", disk=True
    )


def attached(key: int, controller: int, unit: int) -> Any:
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[ds] a.vmdk")
    return vim.vm.device.VirtualDisk(key=key, controllerKey=controller, unitNumber=unit, backing=backing)


DEVICES = [
    vim.vm.device.VirtualIDEController(key=200, busNumber=0),
    vim.vm.device.VirtualIDEController(key=201, busNumber=1),
    vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0),
    attached(3000, 200, 0),
    attached(3002, 201, 0),
    attached(2000, 1000, 0),
]


@pytest.mark.parametrize(
    "keys",
    [
        [
            "/vm-7/ParaVirtualSCSIController0:0",
            "/vm-7/VirtualIDEController1:0",
            "/vm-7/VirtualIDEController0:0",
        ],
        ["/vm-7/VirtualDisk:2000", "/vm-7/VirtualDisk:3002", "/vm-7/VirtualDisk:3000", "/vm-7/nvram"],
    ],
)
def test_streams_are_told_apart_by_key_or_by_address(keys: list[str]) -> None:
    found = lease_module._matched("export", [offer(key) for key in keys], DEVICES, DEVICES[3:])
    assert {key: url.key for key, url in found.items()} == dict(zip([2000, 3002, 3000], keys, strict=False))


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ([], "no stream is offered"),
        (["/vm-7/VirtualDisk:3000", "/vm-7/VirtualDisk:3002"], "no stream is offered for disk 2000"),
        (["/vm-7/VirtualLsiLogicController0:0", "/vm-7/disk-0", "/vm-7/disk-1"], "no stream is offered"),
        (["/vm-7/VirtualDisk:2000", "/vm-7/ParaVirtualSCSIController0:0"], "two streams"),
    ],
)
def test_streams_are_never_guessed(keys: list[str], word: str) -> None:
    with pytest.raises(ProviderError) as caught:
        lease_module._matched("export", [offer(key) for key in keys], DEVICES, DEVICES[3:])
    assert word in caught.value.message


# -- a host with a certificate of its own --------------------------------------------------------------------


@dataclass
class Host:
    """An ESXi host that serves one stream; `asked` are the headers that it got."""

    port: int
    thumbprint: str
    authority: Path
    asked: list[dict[str, str]]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    data = bytes(stream_vmdk.write(bytes(MIB)).data)
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "host"
    folder.mkdir()
    authority = Authority(folder)
    chain, key = authority.server("127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    leaf = ssl.PEM_cert_to_DER_cert(
        chain.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )
    try:
        yield Host(server.server_port, _sha1(leaf), folder, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _sha1(leaf: bytes) -> str:
    digest = hashlib.sha1(leaf, usedforsecurity=False).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 40, 2))


def stream_from(link: Link, host: Host, thumbprint: str) -> FrozenDisk:
    url = vim.HttpNfcLease.DeviceUrl(
        key="/vm-7/VirtualDisk:2000", importKey="", url=f"https://127.0.0.1:{host.port}/nfc/x/disk-0.vmdk",
        sslThumbprint=thumbprint, disk=True,
    )  # fmt: skip
    disk = attached(2000, 1000, 0)
    disk.capacityInBytes = MIB
    with ExitStack() as stack:
        return lease_module._fetch(link, "export", url, disk, stack)


def test_a_hosts_own_certificate_is_trusted_if_vcenter_vouches_for_it_and_gets_no_cookie(
    sim: Vcsim, host: Host, spools: Path
) -> None:
    with connected(sim) as (link, _):
        assert stream_from(link, host, host.thumbprint).size == MIB
    (headers,) = host.asked
    assert "Cookie" not in headers


@pytest.mark.parametrize("thumbprint", ["", "00:" * 19 + "00"])
def test_a_host_that_nobody_vouches_for_is_asked_nothing(
    sim: Vcsim, host: Host, spools: Path, thumbprint: str
) -> None:
    with connected(sim) as (link, _), pytest.raises(ProviderError) as caught:
        stream_from(link, host, thumbprint)
    assert caught.value.kind is ErrorKind.DENIED
    assert host.asked == []


def test_a_pinned_vcenter_vouches_for_its_hosts_too(
    sim: Vcsim, host: Host, server: Server, spools: Path
) -> None:
    with connected(sim, "lease", fingerprint=sim.fingerprint, ca_file=None) as (link, source):
        assert stream_from(link, host, host.thumbprint).size == MIB
        with source.open_frozen(server.ref, TOKEN) as disks:
            assert contents(disks) == server.contents


def test_what_a_guest_has_on_its_disk_is_what_the_rig_says(sim: Vcsim, server: Server) -> None:
    """The rig itself is true: the running machine shows the later writes, which no export may show."""
    data = sim.control("read", moref=server.moref, disk=0, offset=MIB, length=16)["data"]
    assert base64.b64decode(data) == b"\xee" * 16
