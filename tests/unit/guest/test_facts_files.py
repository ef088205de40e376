"""Facts from files: the web server's configuration, driver packages, programs, certificates, triggers."""

import hashlib
import struct
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.guest import facts
from orchestrator.model.facts import ProgramKind

# IIS.

CONFIG = """<?xml version="1.0"?><configuration><system.applicationHost>
<applicationPools>
  <add name="B" managedRuntimeVersion="" enable32BitAppOnWin64="true" managedPipelineMode="Classic">
    <processModel identityType="SpecificUser" userName="BRANCH\\svc" password="hunter2" /></add>
  <add name="A" />
  <applicationPoolDefaults><processModel identityType="LocalService" /></applicationPoolDefaults>
</applicationPools>
<sites>
  <site name="Second" id="2" serverAutoStart="false">
    <application path="/app" applicationPool="B">
      <virtualDirectory path="/" physicalPath="D:\\app" /></application>
    <application path="/">
      <virtualDirectory path="/sub" physicalPath="D:\\sub" password="hunter2" />
      <virtualDirectory path="/" physicalPath="D:\\root" />
    </application>
    <bindings>
      <binding protocol="https" bindingInformation="*:443:" />
      <binding protocol="https" bindingInformation="192.0.2.1:444:" />
      <binding protocol="https" bindingInformation="*:445:www.example" />
      <binding protocol="http" bindingInformation="*:443:" />
    </bindings>
  </site>
  <site name="First" id="1"></site>
  <applicationDefaults applicationPool="A" />
</sites></system.applicationHost></configuration>"""
THUMBS = {"0.0.0.0:443": "A" * 40, "192.0.2.1:444": "B" * 40, "www.example:445": "C" * 40}


def test_sites_pools_and_their_certificates() -> None:
    found = facts.iis(CONFIG.encode(), "6.0", THUMBS)
    assert [(site.name, site.id, site.autostart) for site in found.sites] == [
        ("First", 1, True),
        ("Second", 2, False),
    ]
    second = found.sites[1]
    assert [(one.path, one.pool, one.folder) for one in second.applications] == [
        ("/", "A", "D:\\root"),
        ("/app", "B", "D:\\app"),
    ]
    assert [(one.protocol, one.information, one.certificate) for one in second.bindings] == [
        ("http", "*:443:", ""),
        ("https", "*:443:", "A" * 40),
        ("https", "*:445:www.example", "C" * 40),
        ("https", "192.0.2.1:444:", "B" * 40),
    ]
    assert [
        (one.name, one.runtime, one.pipeline, one.identity, one.enable_32_bit) for one in found.pools
    ] == [
        ("A", "v2.0", "Integrated", "LocalService", False),
        ("B", "", "Classic", "BRANCH\\svc", True),
    ]
    assert "hunter2" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("version", "runtime", "identity"),
    [
        ("6.0", "v2.0", "NetworkService"),
        ("6.1", "v2.0", "ApplicationPoolIdentity"),
        ("10.0", "v4.0", "ApplicationPoolIdentity"),
    ],
)
def test_what_the_file_does_not_say_is_the_releases_default(
    version: str, runtime: str, identity: str
) -> None:
    content = (
        b"<configuration><system.applicationHost><applicationPools><add name='p'/></applicationPools>"
        b"</system.applicationHost></configuration>"
    )
    (pool,) = facts.iis(content, version, {}).pools
    assert (pool.runtime, pool.identity) == (runtime, identity)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><configuration>&f;</configuration>',
            "document",
        ),
        (b"<other/>", "not a configuration"),
        (b"<configuration>", "not well-formed"),
        (b"<configuration>" + b"<a/>" * 300_000 + b"</configuration>", "elements"),
    ],
)
def test_a_hostile_configuration_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(facts.BadXml, match=reason):
        facts.iis(content, "6.0", {})


def test_a_redirected_configuration_is_seen() -> None:
    content = '<configuration><configurationRedirection enabled="{}" path="\\\\nas\\c"/></configuration>'
    assert facts.is_redirected(content.format("true").encode())
    assert not facts.is_redirected(content.format("false").encode())
    assert not facts.is_redirected(b"<configuration/>")


def test_ssl_bindings(key: Any) -> None:
    base = r"Services\HTTP\Parameters"
    found = facts.ssl_bindings(
        key(
            {
                rf"{base}\SslBindingInfo\0.0.0.0:443": {"SslCertHash": bytes(range(20))},
                rf"{base}\SslSniBindingInfo\WWW.example:443": {"SslCertHash": bytes(20)},
                rf"{base}\SslBindingInfo\[::]:444": {"SslCertHash": b"short"},
            }
        )
    )
    assert found == {"0.0.0.0:443": bytes(range(20)).hex().upper(), "www.example:443": "00" * 20}


# Driver packages.


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_driver_package(encoding: str) -> None:
    text = """
; comment with Provider=wrong
[Version]
Signature="$CHICAGO$"
Class = Net ; a class
Provider=%Maker%
DriverVer = 04/01/2010, 6.1.2.3
[Strings.0407]
Maker="Falsch"
[STRINGS]
maker = "Hersteller GmbH; Süd"
"""
    found = facts.driver("OEM7.INF", text.encode(encoding))
    assert (found.inf, found.provider, found.version, found.device_class) == (
        "oem7.inf",
        "Hersteller GmbH; Süd",
        "04/01/2010 6.1.2.3",
        "Net",
    )


@given(st.binary(max_size=400))
def test_any_bytes_are_a_driver_package_that_says_nothing_or_little(content: bytes) -> None:
    assert facts.driver("oem1.inf", content).inf == "oem1.inf"


# Programs.


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def mz(at: int = 64) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", at)


def pe(machine: int, runtime: str = "") -> bytes:
    """A program with one section at 0x2000 whose content starts at 512 in the file."""
    wide = machine == 0x8664
    optional = bytearray(struct.pack("<H", 0x20B if wide else 0x10B) + bytes(238 if wide else 222))
    if runtime:
        struct.pack_into("<II", optional, (112 if wide else 96) + 8 * 14, 0x2000, 72)
    head = mz() + struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, 0, 0, 0, len(optional), 2) + optional
    head += struct.pack("<8sIIII16x", b".text", 1024, 0x2000, 1024, 512)
    header = struct.pack("<IHHII", 72, 2, 5, 0x2000 + 80, 200).ljust(80, b"\0")
    text = runtime.encode().ljust(12, b"\0")
    metadata = struct.pack("<4sHHII", b"BSJB", 1, 1, 0, len(text)) + text
    return head.ljust(512, b"\0") + (header + metadata).ljust(1024, b"\0")


@pytest.mark.parametrize(
    ("data", "kind", "runtime"),
    [
        (pe(0x14C), ProgramKind.X86, ""),
        (pe(0x8664), ProgramKind.X64, ""),
        (pe(0x200), ProgramKind.IA64, ""),
        (pe(0x1C0), ProgramKind.OTHER, ""),
        (pe(0x14C, "v1.1.4322"), ProgramKind.X86, "v1.1.4322"),
        (pe(0x8664, "v2.0.50727"), ProgramKind.X64, "v2.0.50727"),
        (mz() + b"NE" + bytes(52) + b"\x02" + bytes(20), ProgramKind.WIN16, ""),
        (mz() + b"NE" + bytes(52) + b"\x01" + bytes(20), ProgramKind.OTHER, ""),
        (mz() + b"LE" + bytes(100), ProgramKind.OTHER, ""),
        (mz(9000) + bytes(9000 - 64) + pe(0x8664)[64:], ProgramKind.X64, ""),
        (mz(2**32 - 1), ProgramKind.DOS, ""),
        (b"MZ" + bytes(200), ProgramKind.DOS, ""),
        (b"MZ", ProgramKind.DOS, ""),
    ],
)
def test_what_a_program_is_built_for(data: bytes, kind: ProgramKind, runtime: str) -> None:
    assert facts.program_kind(reader(data)) == (kind, runtime)


def test_what_is_no_program_is_none() -> None:
    assert facts.program_kind(reader(b"")) is None
    assert facts.program_kind(reader(b"#!/bin/sh")) is None


@given(st.integers(0, 1500), st.binary(min_size=1, max_size=8))
def test_a_damaged_program_is_still_told_or_other(at: int, noise: bytes) -> None:
    data = bytearray(pe(0x14C, "v2.0.50727"))
    data[at : at + len(noise)] = noise
    found = facts.program_kind(reader(bytes(data)))
    assert found is None or isinstance(found[0], ProgramKind)


# Certificates.


def make_certificate(until: datetime, names: list[str], common: str = "www.example") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bränches"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001
        .not_valid_after(until)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name) for name in names] + [x509.RFC822Name("a@example.com")]
            ),
            critical=False,
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


DER = make_certificate(datetime(2027, 2, 28), ["a.example", "b.example"])  # noqa: DTZ001


def test_a_certificate_as_another_library_made_it() -> None:
    found = facts.certificate(DER)
    assert found.thumbprint == hashlib.sha1(DER, usedforsecurity=False).hexdigest().upper()
    assert (found.subject, found.issuer) == ("CN=www.example, O=Bränches", "CN=CA")
    assert (found.not_after, found.names) == (date(2027, 2, 28), ("a.example", "b.example"))
    assert found.private_key is None


def test_a_certificate_that_ends_after_2049() -> None:
    late = make_certificate(datetime(2061, 5, 6), [], "evil\x1b[31m")  # noqa: DTZ001
    found = facts.certificate(late)
    assert (found.not_after, found.names) == (date(2061, 5, 6), ())
    assert found.subject.startswith("CN=evil\ufffd[31m")


def test_every_cut_of_a_certificate_is_refused() -> None:
    for length in range(len(DER)):
        with pytest.raises(facts.BadDer):
            facts.certificate(DER[:length])


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_refused(at: int, byte: int) -> None:
    data = bytearray(DER)
    data[at] = byte
    try:
        facts.certificate(bytes(data))
    except facts.BadDer as fault:
        assert str(fault)  # noqa: PT017


def test_the_store_of_the_machine(key: Any) -> None:
    store = r"Microsoft\SystemCertificates\MY"
    thumb = hashlib.sha1(DER, usedforsecurity=False).hexdigest()
    with_key = struct.pack("<III", 2, 1, 4) + b"abcd" + struct.pack("<III", 32, 1, len(DER)) + DER
    found = facts.certificates(
        key(
            {
                rf"{store}\Certificates\{thumb}": {"Blob": with_key},
                rf"{store}\Certificates\{'0' * 40}": {"Blob": b"rubbish"},
                rf"{store}\Certificates\odd": {"Blob": b"rubbish"},
            }
        )
    )
    assert found is not None
    by_thumb = {one.thumbprint: one for one in found}
    assert set(by_thumb) == {thumb.upper(), "0" * 40}
    assert by_thumb[thumb.upper()].private_key is True
    assert by_thumb["0" * 40].not_after is None
    assert facts.certificates(key({store: {}})) == ()
    assert facts.certificates(key({"Other": {}})) is None


# Triggers of tasks.


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<BootTrigger><Delay>PT5M</Delay></BootTrigger>", "at start after 5m"),
        ("<LogonTrigger><UserId>B\\k</UserId></LogonTrigger>", "at logon of B\\k"),
        (
            "<TimeTrigger><StartBoundary>2012-02-06T01:30:00</StartBoundary></TimeTrigger>",
            "once on 2012-02-06 at 01:30",
        ),
        (
            "<CalendarTrigger><StartBoundary>2012-02-06T22:00:00</StartBoundary><ScheduleByDay>"
            "<DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger>",
            "daily at 22:00",
        ),
        (
            "<CalendarTrigger><StartBoundary>2012-02-06T22:00:00</StartBoundary><Enabled>false</Enabled>"
            "<ScheduleByDay><DaysInterval>3</DaysInterval></ScheduleByDay></CalendarTrigger>",
            "every 3 days at 22:00 (disabled)",
        ),
        (
            "<CalendarTrigger><Repetition><Interval>PT1H30M</Interval></Repetition><ScheduleByWeek>"
            "<DaysOfWeek><Friday/><Monday/></DaysOfWeek><WeeksInterval>2</WeeksInterval></ScheduleByWeek>"
            "</CalendarTrigger>",
            "every 2 weeks on Monday, Friday every 1h30m",
        ),
        (
            "<CalendarTrigger><ScheduleByMonth><Months><May/><June/></Months><DaysOfMonth><Day>1</Day>"
            "<Day>Last</Day></DaysOfMonth></ScheduleByMonth></CalendarTrigger>",
            "in May, June on day 1, Last",
        ),
        (
            "<CalendarTrigger><ScheduleByMonthDayOfWeek><Weeks><Week>2</Week></Weeks><DaysOfWeek><Tuesday/>"
            "</DaysOfWeek></ScheduleByMonthDayOfWeek></CalendarTrigger>",
            "monthly in week 2 on Tuesday",
        ),
        ("<EventTrigger/>", "on an event"),
        ("<NewKind/>", "NewKind"),
    ],
)
def test_triggers_in_words(xml: str, words: str) -> None:
    task = facts.scheduled_task("\\T", f"<Task><Triggers>{xml}</Triggers></Task>".encode())
    assert task.triggers == (words,)


def test_a_task_runs_as_the_principal_that_its_actions_name() -> None:
    content = (
        b"<Task><Principals><Principal id='A'><UserId>one</UserId></Principal><Principal id='B'>"
        b"<GroupId>S-1-5-32-544</GroupId></Principal></Principals><Actions Context='B'/></Task>"
    )
    assert facts.scheduled_task("\\T", content).run_as == "S-1-5-32-544"
    assert facts.scheduled_task("\\T", b"<Task/>").run_as == ""
