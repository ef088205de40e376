"""From a target's spec to vCenter's customization, and from its events to an answer."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import SoapAdapter, VmomiSupport, vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import DomainJoin, StaticAddress
from orchestrator.model.time_zones import DEFAULT, TIME_ZONES
from providers.vsphere.customization import (
    EVENT_TYPES,
    Opened,
    open_secrets,
    specification,
    succeeded,
    zone_index,
)
from tests.unit.builders import a_target

NEWEST = VmomiSupport.newestVersions.Get("vim")
SECRETS = Opened("Adm1n-s3cret", "CORP\\joiner", "J0in-s3cret")
DOMAIN = DomainJoin(name="corp.example", username="CORP\\joiner", password=SecretRef(env="JOIN"))


def event(kind: str, key: int, **fields: Any) -> Any:
    return getattr(vim.event, kind)(key=key, **fields)


def test_sysprep_gets_name_password_and_zone() -> None:
    made = specification(a_target(computer_name="FILE01N", time_zone="W. Europe Standard Time"), SECRETS)
    identity = made.identity
    assert identity.userData.computerName.name == "FILE01N"
    assert identity.userData.productId == ""
    assert identity.userData.fullName
    assert identity.userData.orgName
    gui = identity.guiUnattended
    assert (gui.timeZone, gui.autoLogon) == (110, False)
    assert (gui.password.value, gui.password.plainText) == ("Adm1n-s3cret", True)
    assert made.options.changeSID
    assert not made.options.deleteAccounts


def test_a_target_without_wishes_is_in_the_workgroup_by_dhcp_in_utc() -> None:
    made = specification(a_target(), Opened("x"))
    identification = made.identity.identification
    assert (identification.joinWorkgroup, identification.joinDomain) == ("WORKGROUP", None)
    assert isinstance(made.nicSettingMap[0].adapter.ip, vim.vm.customization.DhcpIpGenerator)
    assert made.identity.guiUnattended.timeZone == TIME_ZONES[DEFAULT] == 90


def test_a_workgroup_or_a_domain_never_both() -> None:
    group = specification(a_target(workgroup="BRANCH"), SECRETS).identity.identification
    assert (group.joinWorkgroup, group.joinDomain, group.domainAdmin) == ("BRANCH", None, None)
    domain = specification(a_target(domain=DOMAIN), SECRETS).identity.identification
    assert (domain.joinWorkgroup, domain.joinDomain, domain.domainAdmin) == (
        None, "corp.example", "CORP\\joiner",
    )  # fmt: skip
    assert (domain.domainAdminPassword.value, domain.domainAdminPassword.plainText) == ("J0in-s3cret", True)


def test_a_fixed_address_goes_with_mask_gateway_and_name_servers() -> None:
    address = StaticAddress(ip="198.51.100.20/26", gateway="198.51.100.1", dns=("198.51.100.2",))
    adapter = specification(a_target(address=address), SECRETS).nicSettingMap[0].adapter
    assert (adapter.ip.ipAddress, adapter.subnetMask) == ("198.51.100.20", "255.255.255.192")
    assert (list(adapter.gateway), list(adapter.dnsServerList)) == (["198.51.100.1"], ["198.51.100.2"])


def test_a_fixed_ipv6_address_goes_in_its_own_part() -> None:
    address = StaticAddress(ip="2001:db8::20/64", gateway="2001:db8::1")
    adapter = specification(a_target(address=address), SECRETS).nicSettingMap[0].adapter
    fixed = adapter.ipV6Spec.ip[0]
    assert (fixed.ipAddress, fixed.subnetMask) == ("2001:db8::20", 64)
    assert list(adapter.ipV6Spec.gateway) == ["2001:db8::1"]


def test_the_specification_can_be_sent() -> None:
    """pyvmomi refuses what lacks a needed field only when it writes the call."""
    address = StaticAddress(ip="198.51.100.20/26")
    for target in (a_target(address=address, domain=DOMAIN), a_target()):
        text = SoapAdapter.Serialize(specification(target, SECRETS), version=NEWEST)
        assert b"FILE01N" in text if isinstance(text, bytes) else "FILE01N" in text


def test_opened_secrets_are_in_no_repr() -> None:
    assert "s3cret" not in repr(SECRETS)


def test_secrets_are_looked_up_by_their_references() -> None:
    asked: list[str] = []

    def secrets(ref: SecretRef) -> str:
        asked.append(str(ref))
        return "value"

    found = open_secrets(a_target(domain=DOMAIN), secrets)
    assert (found.domain_username, found.domain_password) == ("CORP\\joiner", "value")
    assert len(asked) == 2


def test_a_missing_secret_is_an_error_of_the_provider_that_names_the_reference() -> None:
    def secrets(ref: SecretRef) -> str:
        message = f"{ref} is not set"
        raise FerryError(message)

    with pytest.raises(ProviderError, match="STAGING_ADMIN") as caught:
        open_secrets(a_target(), secrets)
    assert caught.value.kind is ErrorKind.PERMANENT


def test_a_zone_without_an_index_is_refused() -> None:
    with pytest.raises(ProviderError, match="Lord Howe"):
        zone_index("Lord Howe Standard Time")


def test_documented_zones_have_their_documented_index() -> None:
    known = {
        "Pacific Standard Time": 4,
        "Eastern Standard Time": 35,
        "GMT Standard Time": 85,
        "Tokyo Standard Time": 235,
    }
    assert {name: TIME_ZONES[name] for name in known} == known
    assert len(set(TIME_ZONES.values())) == len(TIME_ZONES)
    assert all(0 <= index <= 300 for index in TIME_ZONES.values())


def test_no_event_is_no_answer() -> None:
    assert succeeded("new01", []) is False


def test_a_success_event_is_one() -> None:
    assert succeeded("new01", [event("CustomizationSucceeded", 5)]) is True


@pytest.mark.parametrize(
    "kind", ["CustomizationFailed", "CustomizationSysprepFailed", "CustomizationNetworkSetupFailed",
             "CustomizationLinuxIdentityFailed", "CustomizationUnknownFailure"]
)  # fmt: skip
def test_every_failure_event_is_an_error_with_its_words_and_the_log(kind: str) -> None:
    failed = event(kind, 5, fullFormattedMessage="An error\noccurred", logLocation=r"C:\imc\guestcust.log")
    with pytest.raises(ProviderError, match=rf"new01 failed: {kind} \(An error occurred\)") as caught:
        succeeded("new01", [failed])
    assert caught.value.kind is ErrorKind.PERMANENT
    assert r"%WINDIR%\System32\Sysprep\Panther" in caught.value.hint
    assert r"C:\imc\guestcust.log" in caught.value.hint


def test_the_last_event_counts() -> None:
    """A person may have customized it again."""
    failed, done = event("CustomizationFailed", 5), event("CustomizationSucceeded", 9)
    assert succeeded("new01", [done, failed]) is True


def test_event_types_are_asked_for_by_both_spellings() -> None:
    assert {"CustomizationSysprepFailed", "vim.event.CustomizationSysprepFailed"} <= set(EVENT_TYPES)
