"""Facts become a flat mapping: one item for a thing, whatever its spelling and order."""

from __future__ import annotations

import pytest

from orchestrator.model.facts import Group, NetworkConfig, User
from orchestrator.parity.items import item_key, items_of, unknown_sections
from orchestrator.parity.names import windows_key
from orchestrator.parity.pack import shipped_pack
from orchestrator.parity.vocabulary import naming
from tests.unit import builders as b

WORDS = shipped_pack().vocabulary


def ids(**changes: object) -> list[str]:
    return [item.id for item in items_of(b.server_facts(**changes), WORDS).values()]


def test_every_section_gives_items_of_its_kind() -> None:
    assert ids(services=(b.a_service("A"), b.a_service("D", driver=True))) == [
        "driver:D",
        "hosts:erp",
        "identity:arch",
        "identity:release",
        "identity:role",
        "network:addresses",
        "network:dns",
        "network:domain",
        "network:gateways",
        "network:name",
        "protocol:NTLMv1 accepted",
        "protocol:SMB signing required",
        "protocol:SMB1 client",
        "protocol:SMB1 server",
        "protocol:TLS 1.0 server",
        "protocol:TLS 1.1 server",
        "protocol:TLS 1.2 server",
        "service:A",
        "share:Projects",
        "software:7-zip",
        "system:time-zone",
        r"task:\Nightly export",
    ]


def test_two_spellings_are_one_item_with_both_values() -> None:
    items = items_of(b.server_facts(shares=(b.a_share("data", path="E:\\"), b.a_share("DATA", path="D:\\"))))
    assert items[windows_key("share:data")].value("path") == "D:\\, E:\\"


def test_of_two_versions_of_a_product_the_higher_counts() -> None:
    software = (b.a_software(version="9.20", view=32), b.a_software(version="23.01"))
    items = items_of(b.server_facts(software=software))
    assert items[windows_key("software:7-zip")].value("version") == "23.01"


def test_order_of_the_facts_makes_no_difference() -> None:
    services = (b.a_service("A"), b.a_service("a", account="x"), b.a_service("B"))
    assert items_of(b.server_facts(services=services)) == items_of(b.server_facts(services=services[::-1]))


def test_a_hosts_line_names_every_name() -> None:
    network = b.a_network_config(hosts=("198.51.100.7 erp erp.contoso.example", ""))
    items = items_of(b.server_facts(network=network))
    assert [i.id for i in items.values() if i.kind == "hosts"] == ["hosts:erp", "hosts:erp.contoso.example"]


def test_unknown_sections_are_named_with_their_reason() -> None:
    facts = b.server_facts(shares=None, network=None, unknown=(("shares", "SYSTEM hive is damaged"),))
    assert unknown_sections(facts)["shares"] == "SYSTEM hive is damaged"
    assert set(unknown_sections(facts)) == {"shares", "network", "hosts", "routes"}


def test_no_shares_is_not_unknown_shares() -> None:
    assert unknown_sections(b.server_facts(shares=())) == {}


def test_a_hosts_file_alone_can_be_unknown() -> None:
    network: NetworkConfig = b.a_network_config(hosts=None)
    assert set(unknown_sections(b.server_facts(network=network))) == {"hosts"}


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("localSystem", "LocalSystem"),
        ("NT Authority\\Network Service", "NetworkService"),
        ("NT-AUTORIT\u00c4T\\Netzwerkdienst", "NetworkService"),
        ("S-1-5-18", "LocalSystem"),
        ("file01\\svc", ".\\svc"),
        (".\\svc", ".\\svc"),
        ("VORDEFINIERT\\Administratoren", "Administrators"),
        ("CONTOSO\\svc", "CONTOSO\\svc"),
        ("CONTOSO\\Administrators", "CONTOSO\\Administrators"),
        ("S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1105"),
    ],
)
def test_accounts_have_one_spelling(written: str, one: str) -> None:
    assert naming(WORDS, "FILE01").account(written) == one


def test_a_built_in_account_is_known_by_its_rid_whatever_it_is_called() -> None:
    users = (User(name="Administrateur", rid=500, enabled=True), User(name="ops", rid=1001, enabled=True))
    groups = (Group(name="Administrateurs", rid=544, members=("Administrateur", "FILE01\\ops")),)
    items = items_of(b.server_facts(users=users, groups=groups), WORDS)
    assert items["USER:BUILT-IN:500"].detail("name") == "Administrateur"
    assert items["GROUP:ADMINISTRATORS"].value("members") == ".\\built-in:500; .\\ops"


def test_a_person_may_write_a_product_with_its_version() -> None:
    assert item_key(" software:7-Zip 23.01 (x64)") == windows_key("software:7-zip")
