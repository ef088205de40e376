"""The command lines for guests, read by another cmd.exe and another C run-time than the rig's: Wine's."""

from __future__ import annotations

import pytest

from providers.vsphere.commandline import arguments_for
from tests.rigs.wine import WinePrefix

pytestmark = pytest.mark.timeout(300)

RUN = r"""Dim files: Set files = CreateObject("Scripting.FileSystemObject")
Dim file: Set file = files.OpenTextFile("C:\line.txt", 1, False, -1)
Dim line: line = file.ReadAll
file.Close
WScript.Quit CreateObject("WScript.Shell").Run("C:\windows\system32\cmd.exe " & line, 0, True)
"""
SHOW = r"""Dim number
For number = 0 To WScript.Arguments.Count - 1
  WScript.Echo "<" & WScript.Arguments(number) & ">"
Next
WScript.Quit 3
"""
# Not "%PATH%": Wine's cmd.exe takes carets off before it puts variables in, Microsoft's after that.
ARGUMENTS = (
    "$HOME", "; exit 7", "a  b", "100%", "a&b", "a|more", "x>C:\\y", "^", "!v!",
    "C:\\end\\", "(a)", "2", "a,b=c;d", "~",
)  # fmt: skip


def test_wine_reads_the_arguments_as_they_were_given(prefix: WinePrefix) -> None:
    cscript = r"C:\windows\system32\cscript.exe"
    line = arguments_for(cscript, ["//nologo", r"C:\show.vbs", *ARGUMENTS], r"C:\out.txt")
    prefix.put("run.vbs", RUN.replace("\n", "\r\n").encode("ascii"))
    prefix.put("show.vbs", SHOW.replace("\n", "\r\n").encode("ascii"))
    prefix.put("line.txt", line.encode("utf-16"))
    done = prefix.wine("cscript", "//nologo", r"C:\run.vbs", check=False)
    shown = (prefix.drive / "out.txt").read_bytes().decode("ascii").splitlines()
    assert shown == [f"<{argument}>" for argument in ARGUMENTS]
    assert done.returncode == 3
    assert not (prefix.drive / "y").exists()
