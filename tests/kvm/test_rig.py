"""The private libvirtd is what the other tests take it for."""

from __future__ import annotations

import socket

import libvirt
import pytest

from tests.rigs.libvirtd import PrivateLibvirtd

pytestmark = pytest.mark.kvm


def test_reader_connection_of_the_rig_is_refused_writes(libvirtd: PrivateLibvirtd) -> None:
    connection = libvirt.openReadOnly(libvirtd.uri)
    with pytest.raises(libvirt.libvirtError, match="read only"):
        connection.networkDefineXML("<network><name>never</name></network>")
    connection.close()


def test_domains_survive_a_restart_and_nothing_survives_the_end() -> None:
    with PrivateLibvirtd() as daemon:
        connection = libvirt.open(daemon.uri)
        bridge = daemon.bridge_name()
        network = connection.networkDefineXML(f"<network><name>n</name><bridge name='{bridge}'/></network>")
        network.create()
        connection.close()
        daemon.stop_daemon(kill=True)
        daemon.start()
        connection = libvirt.open(daemon.uri)
        assert connection.networkLookupByName("n").bridgeName() == bridge
        connection.close()
        daemon.stop_daemon(kill=True)
    assert not daemon.state.exists()
    assert bridge not in {name for _, name in socket.if_nameindex()}
