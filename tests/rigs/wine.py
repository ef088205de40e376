"""A Wine prefix that passes for a Windows Server 2008 SP2: where the cscript collector runs for real.

Made once in a folder of its own, with a home of its own; its wineserver is ended at the end. No display, no
network. The registry can be taken out as hives, for the offline collector.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab import regfile

from tests.rigs import windows_disk

_NEEDED = ("wine", "wineserver", "hivexregedit", "mkntfs", "wimlib-imagex")
_TOO_MANY = r"[HKEY_LOCAL_MACHINE\Software\Classes"


def missing() -> list[str]:
    """Name what this machine lacks; empty when the rig can work."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin:/usr/lib/wine"
    return [program for program in _NEEDED if shutil.which(program, path=path) is None]


class WinePrefix:
    """The prefix. `remove` ends what runs in it; the folder is the caller's."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.drive = folder / "prefix" / "drive_c"
        self._environment = {
            "PATH": f"{os.environ['PATH']}:/usr/lib/wine",
            "HOME": str(self.home),
            "WINEPREFIX": str(folder / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
            "LC_ALL": "C.UTF-8",
        }

    def boot(self) -> WinePrefix:
        """Make it and let it pass for Windows Server 2008."""
        self.wine("wineboot", "-i")
        self.wine("winecfg", "-v", "win2008")
        self.settle()
        return self

    def wine(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a Windows program to its end."""
        return subprocess.run(
            ["wine", *command], env=self._environment, check=check, capture_output=True, timeout=100, cwd="/"
        )

    def settle(self) -> None:
        """Wait until everything has ended and the registry is on disk."""
        self._server("-w")

    def remove(self) -> None:
        """End every process of this prefix."""
        self._server("-k")
        self._server("-w")

    def _server(self, option: str) -> None:
        subprocess.run(
            ["wineserver", option], env=self._environment, check=False, capture_output=True, timeout=100
        )

    def merge(self, text: str) -> None:
        """Merge registry text."""
        file = self.drive / "planted.reg"
        file.write_text(text.replace("\n", "\r\n"), encoding="utf-16")
        self.wine("reg", "import", r"C:\planted.reg")
        file.unlink()

    def put(self, path: str, content: bytes) -> None:
        """Write a file ("windows/system32/...")."""
        file = self.drive / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def cscript(self, script: Path, *arguments: str) -> bytes:
        """Run a script and return what it prints."""
        return self.wine("cscript", "//nologo", f"Z:{script}", *arguments).stdout

    def hive(self, name: str) -> bytes:
        """Return a hive ("SYSTEM", "SOFTWARE") of the machine: exported, then written by hivexregedit."""
        self.wine("reg", "export", rf"HKLM\{name}", r"C:\hive.reg", "/y")
        file = self.drive / "hive.reg"
        blocks = file.read_text(encoding="utf-16").split("\n\n")
        kept = (block for block in blocks if not block.strip().casefold().startswith(_TOO_MANY.casefold()))
        # In a hive the current control set is a number; the name is a link that only a running system has.
        text = "\n\n".join(kept).replace(r"\CurrentControlSet", r"\ControlSet001")
        file.write_text(text, encoding="utf-8")
        root = regfile.Key("")
        regfile.merge(file, rf"HKEY_LOCAL_MACHINE\{name}", root)
        file.unlink()
        return windows_disk.hive_file(root, name)

    def disk(self) -> bytes:
        """Return an NTFS volume with the hives and the files that facts come from."""
        files = {f"Windows/System32/config/{name}": self.hive(name) for name in ("SYSTEM", "SOFTWARE")}
        for below in ("drivers/etc/hosts", "Tasks", "inetsrv/config/applicationHost.config"):
            place = self.drive / "windows/system32" / below
            for file in (place, *place.rglob("*")) if place.exists() else ():
                if file.is_file():
                    found = file.relative_to(self.drive / "windows/system32")
                    files[f"Windows/System32/{found}"] = file.read_bytes()
        return windows_disk.volume(files)
