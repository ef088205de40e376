"""Command lines for Windows guests: a program's arguments arrive as they are, through cmd.exe. That one is
needed because guest operations hand back no output. Pure.

Two readers take each line apart: cmd.exe, which looks for its own characters, and then the program, by the
rules of Microsoft's C run-time library (those of `subprocess.list2cmdline`).
"""

import re
import subprocess
from collections.abc import Sequence

from providers.vsphere.faults import permanent

LONGEST = 8191
"""Characters that cmd.exe takes."""
_META = re.compile(r'[()%!^"<>&|]')
_LINE_ENDS = re.compile(r"[\0\r\n]")
_NO_PATH = re.compile(r'[\0\r\n"%<>|?*]')


def arguments_for(program: str, arguments: Sequence[str], output: str) -> str:
    """Return the arguments of cmd.exe that run a program (a whole path) and write what it prints, errors
    included, to the file `output`. Raises ProviderError (PERMANENT) for what no such line can hold.

    Every character that means something to cmd.exe is escaped by a caret, the quotes too, so that it never
    sees a quoted part: a percent sign so escaped names no variable.
    """
    for path in (program, output):
        if _NO_PATH.search(path):
            message = f"{path!r} is no path of a Windows program or file"
            raise permanent(message)
    if any(_LINE_ENDS.search(argument) for argument in arguments):
        message = f"an argument of {program} has a line break in it: cmd.exe would end there"
        raise permanent(message, "put it into a file")
    escaped = _META.sub(r"^\g<0>", subprocess.list2cmdline(arguments))
    inner = f'"{program}" {escaped} >"{output}" 2>&1'
    line = f'/d /s /c "{inner}"'
    if len(line) > LONGEST:
        message = f"the arguments of {program} are longer than the {LONGEST} characters that cmd.exe takes"
        raise permanent(message, "put them into a file")
    return line
