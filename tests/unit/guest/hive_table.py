"""Tries the reader on hives that nobody here made, and tells in tables what was and what was not found.

HIVES.md is what it rendered; a test holds the two together.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import collect_offline
from orchestrator.guest.offline.hive import Hive
from orchestrator.guest.offline.replay import replay
from orchestrator.model.facts import SECTIONS, ServerFacts
from tests.rigs.windows_disk import volume
from tests.unit.guest.oracles import comparable, digest_by_hivex, our_digest, ours, read_by_libregf

Read = Callable[[str], bytes]
MakeDisk = Callable[[bytes], object]
CONFIG = "Windows/System32/config"


@dataclass(frozen=True)
class Tried:
    """A hive with its logs, and what it is."""

    name: str
    what: str
    logs: tuple[str, ...] = ()


HIVES = (
    Tried("SYSTEM", "Windows 7 SP1 x86 client"),
    Tried("SYSTEM_B", "Windows 10 client, in use, its logs left out"),
    Tried("SYSTEM_B", "Windows 10 client, in use", ("SYSTEM_B.LOG1", "SYSTEM_B.LOG2")),
    Tried("UsrClass.dat", "a user's classes, in use, its logs left out"),
    Tried("UsrClass.dat", "a user's classes, in use", ("UsrClass.dat.LOG1", "UsrClass.dat.LOG2")),
    Tried("SAM", "accounts of the Windows 7 client"),
    Tried("corrupted_system_hive", "a SYSTEM hive, really damaged"),
)
DISKS: Mapping[str, Mapping[str, str]] = {
    "SYSTEM and SAM": {"SYSTEM": "SYSTEM", "SAM": "SAM"},
    "SYSTEM_B with its logs": {
        "SYSTEM": "SYSTEM_B", "SYSTEM.LOG1": "SYSTEM_B.LOG1", "SYSTEM.LOG2": "SYSTEM_B.LOG2",
    },
    "corrupted_system_hive": {"SYSTEM": "corrupted_system_hive"},
}  # fmt: skip
HEAD = """# Hives that nobody here made

What the offline reader was tried on, what it found and what it did not. The hives are public test data
(regipy's, MIT licence); they are not part of this repository. All are of clients: no public hive of a 2008
server at build 6003 was to be had. `FERRY_UPDATE_GOLDEN=1 pytest tests/unit/guest/test_hive_table.py` makes
this page; the same test holds it true wherever `FERRY_TEST_HIVES` names the folder with the hives.
"""
ALONE = """## The reader alone

hivex and libregf read the same bytes, after the replay; "same" is: every key, name, type and content
(libregf: but texts, and contents below 4 bytes, which it changes).
"""
SANDBOX = """## Facts, through the sandbox

Each on an NTFS disk that holds these hives and nothing else: no SOFTWARE, no files.
"""


def render(read: Read, disk: MakeDisk, folder: Path) -> str:
    """Return the whole document."""
    rows = [_hive_row(one, read, folder) for one in HIVES]
    hives = _table(("hive", "what it is", "keys", "values", "hivex", "libregf", "log replay"), rows)
    facts = [_facts_row(name, files, read, disk) for name, files in DISKS.items()]
    found = _table(("disk with", "identity", "found", "not found", "told"), facts)
    return "\n".join((HEAD, ALONE, hives, SANDBOX, found))


def _hive_row(one: Tried, read: Read, folder: Path) -> tuple[str, ...]:
    done = replay(read(one.name), [read(log) for log in one.logs])
    keys, values, end = _count(done.data)
    note = done.note or "clean, nothing to replay"
    whole = (str(keys), str(values), _hivex(done.data, folder), _libregf(done.data))
    if end:
        whole = (f"{keys}, then: {end}", str(values), *whole[2:])
    return (f"`{one.name}`", one.what, *whole, note)


def _count(data: bytes) -> tuple[int, int, str]:
    """Return keys and values read, and what ended the reading, if anything did."""
    counts = {True: 0, False: 0}
    try:
        for _, _, kind, _ in ours(Hive(data).root()):
            counts[kind < 0] += 1
    except FerryError as fault:
        return counts[True], counts[False], fault.message
    return counts[True], counts[False], ""


def _hivex(data: bytes, folder: Path) -> str:
    try:
        theirs = digest_by_hivex(data, folder)
    except subprocess.CalledProcessError:
        return "refuses it"
    try:
        return "same" if our_digest(data) == theirs else "differs"
    except FerryError:
        return "reads on"


def _libregf(data: bytes) -> str:
    try:
        theirs = read_by_libregf(data)
    except OSError:
        return "refuses it"
    try:
        return "same" if comparable(ours(Hive(data).root())) == theirs else "differs"
    except FerryError:
        return "reads on"


def _facts_row(name: str, files: Mapping[str, str], read: Read, disk: MakeDisk) -> tuple[str, ...]:
    made = disk(volume({f"{CONFIG}/{to}": read(source) for to, source in files.items()}, mib=48))
    found = collect_offline([made])  # type: ignore[list-item]
    reasons = dict.fromkeys(why for _, why in found.unknown)
    unknown = [f"{', '.join(name for name, its in found.unknown if its == why)}: {why}" for why in reasons]
    told = dict.fromkeys(found.warnings)
    return (name, _identity(found), ", ".join(_found(found)), "; ".join(unknown), "; ".join(told))


def _identity(found: ServerFacts) -> str:
    who = found.identity
    known = [who.product_type and who.product_type.value, who.arch, who.hostname, who.language]
    return ", ".join(filter(None, known)) + (" " if any(known) else "") + "(no build: that is in SOFTWARE)"


def _found(found: ServerFacts) -> Iterator[str]:
    for section in SECTIONS:
        value = getattr(found, section)
        if isinstance(value, tuple):
            yield f"{section} {len(value)}"
        elif value is not None:
            yield section


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)
