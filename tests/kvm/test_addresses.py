"""The host's addresses as the kernel tells them are those that `ip` shows, odd ones included."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from providers.kvm.addresses import device_addresses
from tests.rigs.kvm_rig import run

pytestmark = pytest.mark.kvm


def shown() -> dict[str, tuple[str, ...]]:
    done = subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True, text=True, timeout=20)
    found = {
        device["ifname"]: tuple(f"{a['local']}/{a['prefixlen']}" for a in device["addr_info"])
        for device in json.loads(done.stdout)
    }
    return {name: addresses for name, addresses in found.items() if addresses}


@pytest.fixture
def bridge() -> Iterator[str]:
    name = f"fad{os.getpid() % 1_000_000}"
    run("ip", "link", "add", name, "type", "bridge")
    try:
        run("ip", "link", "set", name, "up")
        yield name
    finally:
        run("ip", "link", "del", name)


def test_addresses_are_those_that_ip_shows(bridge: str) -> None:
    before = device_addresses()
    run("ip", "addr", "add", "198.51.100.1/24", "dev", bridge)
    run("ip", "addr", "add", "198.51.100.2/24", "dev", bridge, "label", f"{bridge}:x")
    run("ip", "addr", "add", "198.51.100.3", "peer", "198.51.100.4", "dev", bridge)
    run("ip", "addr", "add", "2001:db8::1/64", "dev", bridge, "nodad")
    now = device_addresses()
    assert now == shown()
    assert set(now[bridge]) - set(before.get(bridge, ())) == {
        "198.51.100.1/24", "198.51.100.2/24", "198.51.100.3/32", "2001:db8::1/64",
    }  # fmt: skip


def test_many_addresses_come_in_many_parts(bridge: str) -> None:
    wanted = {f"198.51.{third}.{last}/32" for third in (100, 101) for last in range(1, 255)}
    commands = "\n".join(f"addr add {address} dev {bridge}" for address in sorted(wanted))
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True, timeout=60)
    assert wanted <= set(device_addresses()[bridge])
