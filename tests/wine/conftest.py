"""One Wine prefix for all tests here, with things planted in it that a collector has to find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.guest.collectors import Collector, script
from tests.rigs import wine
from tests.rigs.wine import WinePrefix

PLANTED = Path(__file__).parent / "planted"
TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Author>BRANCH\\admin</Author></RegistrationInfo>
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Actions><Exec><Command>C:\\Scripts\\export.cmd</Command><Arguments>/all "x y"</Arguments></Exec></Actions>
</Task>
"""
HOSTS = b"# made for a test\r\n192.0.2.9   db01 db01.branch.example # the database\r\n"


@dataclasses.dataclass(frozen=True)
class Collected:
    """The prefix, the script, and what two runs of it gave: one printed, one into a file."""

    prefix: WinePrefix
    code: Path
    printed: bytes
    written: bytes


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WinePrefix]:
    if lacking := wine.missing():
        pytest.skip(f"running the cscript collector needs: {', '.join(lacking)}")
    made = WinePrefix(tmp_path_factory.mktemp("wine"))
    try:
        made.boot()
        made.merge((PLANTED / "machine.reg").read_text(encoding="utf-8"))
        made.put("windows/system32/drivers/etc/hosts", HOSTS)
        made.put("windows/system32/Tasks/Branch/Export", TASK.encode("utf-16"))
        config = (PLANTED / "applicationHost.config").read_bytes()
        made.put("windows/system32/inetsrv/config/applicationHost.config", config)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def collected(prefix: WinePrefix, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    code = tmp_path_factory.mktemp("script") / "ferry-collect.vbs"
    code.write_bytes(script(Collector.CSCRIPT).replace("\n", "\r\n").encode("ascii"))
    printed = prefix.cscript(code)
    assert prefix.cscript(code, r"C:\facts.json") == b""
    return Collected(prefix, code, printed, (prefix.drive / "facts.json").read_bytes())
