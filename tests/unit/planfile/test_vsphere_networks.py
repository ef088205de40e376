"""Networks on vSphere: the site's own filter is declared, and nothing of it is ferry's."""

from __future__ import annotations

import pytest

from orchestrator.diagnostics import Severity
from orchestrator.model.network import IsolationMode
from tests.unit.planfile.conftest import Check

VCENTER = "  vc: {provider: vsphere, server: vc.example.net, username: u, password: {env: VC_PASSWORD}}\n"


def plan(good: str, network: str, endpoint: str = "vc") -> str:
    text = good.replace(
        "networks:\n", f"{VCENTER}networks:\n  n: {{endpoint: {endpoint}, name: n, {network}}}\n"
    )
    return text.replace("{endpoint: lab, vm: file01}", f"{{endpoint: {endpoint}, vm: file01}}")


def codes(check: Check, text: str) -> list[str]:
    return [p.code for p in check(text)[1] if p.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("network", "endpoint", "found"),
    [
        ("mode: filtered, site_filter: NSX policy legacy-out", "vc", []),
        ("mode: filtered, site_filter: a firewalled VLAN, create: false", "vc", []),
        ("mode: sealed, create: true, switch: DVS-Q, vlan: 17", "vc", []),
        ("create: true, vlan: 0", "vc", []),
        ("mode: filtered", "vc", ["no-site-filter"]),
        ("mode: filtered, uplink: br0", "vc", ["no-site-filter", "uplink-site-filter"]),
        ("mode: filtered, site_filter: x, create: true", "vc", ["create-site-filter"]),
        ("mode: sealed, site_filter: x", "vc", ["site_filter-not-filtered"]),
        ("site_filter: x", "vc", ["site_filter-not-filtered"]),
        ("mode: sealed, vlan: 4095", "vc", ["range"]),
        ("mode: filtered, uplink: br0, site_filter: x", "lab", ["vsphere-network"]),
        ("mode: filtered, site_filter: x", "lab", ["vsphere-network"]),
        ("mode: sealed, switch: s, vlan: 1", "lab", ["vsphere-network", "vsphere-network"]),
    ],
)
def test_who_filters_is_said_where_it_matters(
    check: Check, good: str, network: str, endpoint: str, found: list[str]
) -> None:
    assert codes(check, plan(good, network, endpoint)) == found


def test_the_keys_arrive_in_the_model(check: Check, good: str) -> None:
    network = "mode: sealed, create: true, switch: DVS-Q, vlan: 17"
    decoded, _ = check(plan(good, network).replace("{mode: unplugged}", "{network: n}"))
    assert decoded is not None
    isolation = decoded.hosts[0].isolation
    assert isolation is not None
    assert isolation.network is not None
    assert (isolation.mode, isolation.network.switch, isolation.network.vlan) == (
        IsolationMode.SEALED,
        "DVS-Q",
        17,
    )


def test_a_declared_filter_is_no_reason_for_a_warning_about_flows(check: Check, good: str) -> None:
    text = plan(good, "mode: filtered, site_filter: NSX policy legacy-out")
    assert check(text)[1] == ()
