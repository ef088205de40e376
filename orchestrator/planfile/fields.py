"""The kinds of fields, as pydantic types: each by one reader of `values`, with its JSON Schema."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from orchestrator.model.machine import Consistency
from orchestrator.model.network import IsolationMode
from orchestrator.model.plan import Disposition
from orchestrator.model.target import CopyMode
from orchestrator.model.time_zones import DEFAULT, TIME_ZONES
from orchestrator.planfile import values
from orchestrator.planfile.nodes import Items, Table, Text
from orchestrator.planfile.values import BadValue
from orchestrator.planfile.wording import quoted, suggest


class Protocol(StrEnum):
    """What an allowed flow speaks."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


class Risk(StrEnum):
    """The change board's risk classes."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Missed(StrEnum):
    """What to do about a scheduled time that went by while nothing ran."""

    RUN_ONCE = "run-once"
    SKIP = "skip"


class SourceAfter(StrEnum):
    """What becomes of the source once a lifted host runs in Azure."""

    OFF_AND_ISOLATED = "off-and-isolated"


def custom_error(bad: BadValue) -> PydanticCustomError:
    """Wrap a bad value so that it passes through pydantic untouched."""
    return PydanticCustomError(bad.code, "{summary}", {"summary": bad.summary, "hint": bad.hint})


def reads(parse: Callable[[Text], Any]) -> BeforeValidator:
    """Make the validator that reads a field's text."""

    def validate(value: object) -> object:
        try:
            if isinstance(value, Text):
                return parse(value)
            found = "a list" if isinstance(value, Items) else "a mapping"
            values.refuse("type", f"expected one value, found {found}", "write a single value")
        except BadValue as bad:
            raise custom_error(bad) from bad

    return BeforeValidator(validate)


def whole(low: int, high: int) -> Any:
    """A whole number's metadata, for `Annotated[int, ...]`."""
    return reads(lambda text: values.parse_int(text, low, high))


def text_schema(**schema: object) -> WithJsonSchema:
    """JSON Schema of a value that is written as text."""
    return WithJsonSchema({"type": "string", **schema})


def number_schema(low: int, high: int) -> WithJsonSchema:
    """JSON Schema of a whole number."""
    return WithJsonSchema({"type": "integer", "minimum": low, "maximum": high})


_WRONG_BUILDS = {
    "3790": "Windows Server 2003",
    "6000": "Windows Vista without a service pack",
    "6001": "Windows Server 2008 without service pack 2: install that first",
    "7600": "Windows Server 2008 R2, which is another product",
    "7601": "Windows Server 2008 R2, which is another product",
    "9200": "Windows Server 2012",
    "9600": "Windows Server 2012 R2",
}


def parse_build(text: Text) -> int:
    """A build of Windows Server 2008 SP2."""
    hint = "write `6002` or `6003`, or leave it away"
    if text not in ("6002", "6003"):
        why = f"{text} is {_WRONG_BUILDS[text]}; " if text in _WRONG_BUILDS else ""
        values.refuse("build", f"build {quoted(text)} is not Windows Server 2008 SP2", why + hint)
    return values.parse_int(text, 6002, 6003)


def parse_release(text: Text) -> int:
    """The Windows Server release of a target."""
    if text not in ("2022", "2025"):
        values.refuse("release", f"release {quoted(text)} cannot be staged", "write `2022` or `2025`")
    return values.parse_int(text, 2022, 2025)


def parse_libvirt_uri(text: Text) -> str:
    """A libvirt connection URI of a hypervisor driver."""
    uri = values.parse_label(text)
    if not values.fits(r"[a-z]+(\+[a-z0-9]+)?://[^\s]*", uri):
        values.refuse("uri", f"{quoted(uri)} is no libvirt URI", "write for example `qemu:///system`")
    return uri


def parse_path(text: Text) -> str:
    """A path on this machine; relative to the plan file's folder."""
    path = values.parse_label(text)
    if path.startswith("~"):
        values.refuse("path", f"{quoted(path)} begins with `~`", "write the whole path")
    return path


def parse_absolute(text: Text) -> str:
    """A path on a hypervisor, where no folder of ours means anything."""
    path = values.parse_label(text)
    if not path.startswith("/"):
        values.refuse("path", f"{quoted(path)} is not absolute", "write the whole path on the hypervisor")
    return path


def parse_windows_zone(text: Text) -> str:
    """A time zone by its Windows name, of those that have an index for sysprep."""
    if text not in TIME_ZONES:
        hint = suggest(text, TIME_ZONES)
        if text.upper() in ("UTC", "GMT", "ETC/UTC"):
            hint = f"write `{DEFAULT}`: the same time, without summer time"
        elif "/" in text:
            hint = "write its Windows name, as `tzutil /l` shows it: for example `W. Europe Standard Time`"
        values.refuse("time-zone", f"{quoted(text)} is no Windows time zone that sysprep knows", hint)
    return str(text)


_ARCH_WHY_NOT = {
    "ia64": "Itanium machines have no hypervisor to be contained on or lifted to",
    "itanium": "Itanium machines have no hypervisor to be contained on or lifted to",
    "amd64": "write `x64`",
    "x86_64": "write `x64`",
    "x86-64": "write `x64`",
    "64": "write `x64`",
    "i386": "write `x86`",
    "i686": "write `x86`",
    "32": "write `x86`",
    "arm64": "Windows Server 2008 never ran on it; write `x86` or `x64`",
}

Label = Annotated[str, reads(values.parse_label), text_schema(minLength=1)]
Name = Annotated[str, reads(values.parse_name), text_schema(pattern=values.NAME_PATTERN)]
ComputerName = Annotated[
    str, reads(values.parse_computer_name), text_schema(pattern=values.COMPUTER_NAME_PATTERN, maxLength=15)
]
Bool = Annotated[bool, reads(values.parse_bool), WithJsonSchema({"type": "boolean"})]
Size = Annotated[int, reads(values.parse_size), text_schema(pattern=values.SIZE_PATTERN)]
Duration = Annotated[
    timedelta, reads(values.parse_duration), text_schema(pattern=values.DURATION_PATTERN, minLength=2)
]
Day = Annotated[date, reads(values.parse_date), text_schema(format="date")]
LocalTime = Annotated[
    datetime,
    reads(values.parse_local_time),
    text_schema(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"),
]
Zone = Annotated[str, reads(values.parse_timezone), text_schema(minLength=1)]
IpAddress = Annotated[str, reads(lambda text: str(values.parse_address(text))), text_schema(minLength=2)]
Destination = Annotated[str, reads(values.parse_flow_target), text_schema(minLength=2)]
OwnAddress = Annotated[
    str, reads(lambda text: str(values.parse_interface(text))), text_schema(pattern="/[0-9]{1,3}$")
]
WindowsZone = Annotated[str, reads(parse_windows_zone), text_schema(enum=list(TIME_ZONES))]
Workgroup = Annotated[
    str,
    reads(
        values.parse_word(
            r"[^\s\\/\[\]:;|=,+*?<>\".][^\\/\[\]:;|=,+*?<>\"]{0,14}",
            "workgroup",
            "workgroup",
            'use 1 to 15 characters, none of which is one of \\ / [ ] : ; | = , + * ? < > "',
        )
    ),
    text_schema(minLength=1, maxLength=15),
]
DomainName = Annotated[
    str,
    reads(
        values.parse_word(
            r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
            "domain",
            "domain name",
            "write its DNS name, for example `corp.example.net`",
        )
    ),
    text_schema(pattern="^[A-Za-z0-9][A-Za-z0-9.-]*$"),
]
Cron = Annotated[str, reads(values.parse_cron), text_schema(minLength=9)]
Port = Annotated[int, whole(1, 65535), number_schema(1, 65535)]
Build = Annotated[int, reads(parse_build), WithJsonSchema({"type": "integer", "enum": [6002, 6003]})]
Release = Annotated[int, reads(parse_release), WithJsonSchema({"type": "integer", "enum": [2022, 2025]})]
Arch = Annotated[
    str,
    reads(values.parse_known({"x86": "x86", "x64": "x64"}, _ARCH_WHY_NOT, "architecture")),
    text_schema(enum=["x86", "x64"]),
]
LibvirtUri = Annotated[str, reads(parse_libvirt_uri), text_schema(pattern="^[a-z]+([+][a-z0-9]+)?://")]
LocalPath = Annotated[str, reads(parse_path), text_schema(minLength=1)]
AbsolutePath = Annotated[str, reads(parse_absolute), text_schema(pattern="^/")]
EnvName = Annotated[
    str,
    reads(
        values.parse_word(
            r"[A-Za-z_][A-Za-z0-9_]*",
            "env",
            "variable's name",
            "write a name such as `VC_PASSWORD`",
            show=False,
        )
    ),
    text_schema(pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
]
KeyringEntry = Annotated[
    str,
    reads(
        values.parse_word(
            r"[^/\s]+/\S+", "keyring", "keyring entry", "write it as `SERVICE/USER`", show=False
        )
    ),
    text_schema(pattern=r"^[^/\s]+/\S+$"),
]
ParityItem = Annotated[
    str,
    reads(
        values.parse_word(
            r"[a-z][a-z0-9-]*:\S.*", "item", "parity item", "write for example `service:Browser`"
        )
    ),
    text_schema(pattern="^[a-z][a-z0-9-]*:"),
]
Subnet = Annotated[
    str,
    reads(values.parse_word(r"[^/\s]+/[^/\s]+", "subnet", "Azure subnet", "write it as `VNET/SUBNET`")),
    text_schema(pattern=r"^[^/\s]+/[^/\s]+$"),
]
VmSize = Annotated[
    str,
    reads(values.parse_word(r"Standard_\w+", "vm-size", "Azure size", "write for example `Standard_D2s_v3`")),
    text_schema(pattern="^Standard_"),
]
Fingerprint = Annotated[
    str,
    reads(
        values.parse_word(
            r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}",
            "fingerprint",
            "SHA-256 fingerprint",
            "write the 64 hexadecimal digits that openssl x509 -noout -fingerprint -sha256 shows",
        )
    ),
    text_schema(pattern=r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$"),
]
ServerName = Annotated[
    str,
    reads(
        values.parse_word(
            r"[^\s/@]+", "server", "host name", "write the name alone, without https:// or a path"
        )
    ),
    text_schema(pattern=r"^[^\s/@]+$"),
]

ConsistencyWord = Annotated[Consistency, reads(values.parse_choice(Consistency))]
ModeWord = Annotated[IsolationMode, reads(values.parse_choice(IsolationMode))]
DispositionWord = Annotated[Disposition, reads(values.parse_choice(Disposition))]
CopyWord = Annotated[CopyMode, reads(values.parse_choice(CopyMode))]
ProtocolWord = Annotated[Protocol, reads(values.parse_choice(Protocol))]
RiskWord = Annotated[Risk, reads(values.parse_choice(Risk))]
MissedWord = Annotated[Missed, reads(values.parse_choice(Missed))]
SourceAfterWord = Annotated[SourceAfter, reads(values.parse_choice(SourceAfter))]


def is_table(value: object) -> bool:
    """Tell a mapping from text, for fields that take either."""
    return isinstance(value, Table)
