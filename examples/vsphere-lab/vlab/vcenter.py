"""The lab's simulated vCenter as seen from outside: whether it runs, where, and what govc says of it.

It must not reach into the simulator: what it holds is looked at with govc, VMware's own client.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.programs import LabError

from vlab.places import PASSWORD, RECORD

_START_SECONDS = 420.0
"""The first time two Go programs are built."""
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class VCenter:
    """One running simulated vCenter."""

    folder: Path
    facts: dict[str, Any]

    @classmethod
    def running(cls, folder: Path) -> VCenter | None:
        """Return the one that runs from this folder, or None."""
        try:
            facts = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        found = cls(folder, facts)
        return found if found._alive() else None

    @classmethod
    def start(cls, folder: Path) -> VCenter:
        """Start one, or return the one that runs. LabError with its own words if it does not come up."""
        if (found := cls.running(folder)) is not None:
            return found
        (folder / RECORD).unlink(missing_ok=True)
        log = folder / "keeper.log"
        with log.open("w") as out:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "vlab.keeper", str(folder)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _START_SECONDS
        while (found := cls.running(folder)) is None:
            if keeper.poll() is not None or time.monotonic() > until:
                keeper.terminate()
                words = log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
                message = f"the simulated vCenter does not start: {words}"
                raise LabError(message)
            time.sleep(0.1)
        return found

    def stop(self) -> None:
        """End it and wait until it is gone; all that it held is gone with it."""
        os.kill(self.facts["pid"], signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        while self._alive() and time.monotonic() < until:
            time.sleep(0.05)
        (self.folder / RECORD).unlink(missing_ok=True)

    def secret(self, name: str) -> str:
        """One of the passwords, by the name of the file that it stands in."""
        return (self.folder / name).read_text(encoding="utf-8").strip()

    def govc_environment(self) -> dict[str, str]:
        """What govc needs to find it, and to keep nothing in the home folder."""
        return {
            "GOVC_URL": self.facts["url"],
            "GOVC_USERNAME": self.facts["username"],
            "GOVC_PASSWORD": self.secret(PASSWORD),
            "GOVC_TLS_CA_CERTS": self.facts["ca_file"],
            "GOVC_PERSIST_SESSION": "false",
            "GOVMOMI_HOME": str(self.folder / "govc"),
        }

    def _alive(self) -> bool:
        """Whether the recorded process is still ours: a number alone may be another's by now."""
        try:
            command = Path(f"/proc/{self.facts['pid']}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return b"vlab.keeper" in command and str(self.folder).encode() in command
