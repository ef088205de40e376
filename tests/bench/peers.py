"""The peers that bench isolate-kvm measures against: what somebody writes in an afternoon for the same job.

All do, for each domain: an external disk-only snapshot (libvirt names the overlay), the card moved to a
quarantine network live and persistent with its MAC kept, and a look whether libvirt says so. All first
make that network. With virsh each domain is also claimed before (a secret, and metadata for people to see),
snapshot and network are looked at after, and the claim is taken off: the four things that `plan apply` does.
`virsh` does so in the loop that one writes first, `for d in ...; do ...; done`: one domain after the other.
`virsh, 8 at once` makes the same calls for eight domains at a time, since `plan apply` works on as many.
None keeps a ledger or a journal, stores a way back, checks space, chains or jobs before, looks at the
host's bridge and ports after, or can be repeated after a crash.
"""

from __future__ import annotations

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from tests.bench.fleet import Fleet

_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
_DROP = "<filter name='ferry-bench-drop'><rule action='drop' direction='inout'/></filter>"
_SNAPSHOT = "<domainsnapshot><name>before</name></domainsnapshot>"


def libvirt_script(one: Fleet, *, filtering: bool = False) -> None:
    """Peer `minimal`: one connection of libvirt-python, one domain after the other.

    With `filtering`, as peer `minimal, filtering`, each card is also bound to one packet filter that drops
    everything: what that costs of the time is libvirt's, whoever asks for it.
    """
    conn = libvirt.open(one.daemon.uri)
    conn.networkDefineXML(one.quarantine_xml()).create()
    if filtering:
        conn.nwfilterDefineXML(_DROP)
    for ref in one.refs:
        _isolate(conn.lookupByUUIDString(ref.id), one.quarantine, filtering)
    conn.close()


def _isolate(domain: libvirt.virDomain, network: str, filtering: bool) -> None:
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    domain.snapshotCreateXML(_SNAPSHOT, flags)
    affected = [_CONFIG, _LIVE] if domain.isActive() else [_CONFIG]
    for where in affected:
        for interface in _interfaces(domain, where):
            source = interface.find("source")
            assert source is not None
            source.attrib = {"network": network}
            if filtering:
                ET.SubElement(interface, "filterref", filter="ferry-bench-drop")
            domain.updateDeviceFlags(ET.tostring(interface, encoding="unicode"), where)
    for where in affected:
        for interface in _interfaces(domain, where):
            source = interface.find("source")
            assert source is not None
            assert source.get("network") == network


def _interfaces(domain: libvirt.virDomain, where: int) -> list[ET.Element]:
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if where == _CONFIG else 0)
    return ET.fromstring(text).findall("devices/interface")  # noqa: S314  # libvirt wrote it


def virsh_loop(one: Fleet, *, at_once: int = 1) -> None:
    """Peers `virsh` and, with `at_once` domains at a time, `virsh, 8 at once`: a process for each call, in
    order for each domain."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        network = Path(folder) / "network.xml"
        network.write_text(one.quarantine_xml())
        _virsh(one, "net-define", str(network))
        _virsh(one, "net-start", one.quarantine)
        running = _virsh(one, "list", "--name").split()
        # list(): so that what failed in a thread is raised here.
        where = Path(folder)
        list(pool.map(lambda ref: _by_virsh(one, ref.name, ref.id, where, ref.name in running), one.refs))


def _by_virsh(one: Fleet, name: str, uuid: str, folder: Path, running: bool) -> None:
    """Claim, snapshot, isolate, verify, release the claim: what `plan apply` does, in virsh's words."""
    secret = folder / f"{name}-secret.xml"
    usage = f"<usage type='volume'><volume>bench/claim/{uuid}</volume></usage>"
    secret.write_text(f"<secret ephemeral='no' private='no'><uuid>{uuid}</uuid>{usage}</secret>")
    _virsh(one, "secret-define", str(secret))
    mark = ["--uri", "urn:bench:claim", "--config", *(["--live"] if running else [])]
    _virsh(one, "metadata", name, *mark, "--key", "bench", "--set", "<claim by='loop'/>")
    _virsh(one, "snapshot-create-as", name, "before", "--disk-only", "--atomic")
    mac = _virsh(one, "domiflist", name).split()[4]
    card = folder / f"{name}.xml"
    card.write_text(
        f"<interface type='network'><mac address='{mac}'/><source network='{one.quarantine}'/>"
        "<port isolated='yes'/><model type='e1000'/></interface>"
    )
    # Live and persistent in one call: all that virsh needs for a running domain, too.
    where = ["--config", "--live"] if running else ["--config"]
    _virsh(one, "update-device", name, str(card), *where)
    for option in ([], ["--inactive"]) if running else (["--inactive"],):
        assert one.quarantine in _virsh(one, "domiflist", name, *option)
    assert "before" in _virsh(one, "snapshot-list", name, "--name")
    network = _virsh(one, "net-dumpxml", one.quarantine)
    assert "<forward" not in network
    assert "<ip" not in network
    _virsh(one, "metadata", name, *mark, "--remove")
    _virsh(one, "secret-undefine", uuid)


def _virsh(one: Fleet, *words: str) -> str:
    command = ["virsh", "-q", "-c", one.daemon.uri, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
