"""From command lines to the paths of programs. Nothing is looked up here."""

import re

_KNOWN = {
    "systemroot": "{windows}",
    "windir": "{windows}",
    "systemdrive": "{drive}",
    "programfiles": r"{drive}\Program Files",
    "programfiles(x86)": r"{drive}\Program Files (x86)",
    "commonprogramfiles": r"{drive}\Program Files\Common Files",
    "programdata": r"{drive}\ProgramData",
}
_VARIABLE = re.compile(r"%([^%\s]{1,64})%")
_PROGRAM = re.compile(r"(.+?\.(?:exe|com|bat|cmd|scr|dll))(?=\s|,|$)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"[A-Za-z]:\\[^<>|?*\"]+")
_MAX = 1024


def program_path(command: str, windows: str = r"C:\Windows") -> str | None:
    """Return the absolute path ("C:\\App\\a.exe") of the program that a command line starts; None if it names
    none so. `windows` is the folder of Windows.

    A path with spaces and no quotes ends at its first ".exe" or the like.
    """
    line = _expanded(command[:_MAX].strip(), windows)
    if line.startswith('"'):
        path = line[1:].partition('"')[0]
    else:
        match = _PROGRAM.match(line)
        path = match[1] if match else line.partition(" ")[0]
    path = path.strip()
    if path.lower().startswith("system32\\"):
        path = rf"{windows}\{path}"  # relative to the system root, as drivers and old services have it
    return path if _ABSOLUTE.fullmatch(path) and ".." not in path.split("\\") else None


def _expanded(line: str, windows: str) -> str:
    drive = windows[:2]

    def value(match: re.Match[str]) -> str:
        known = _KNOWN.get(match[1].casefold())
        return known.format(windows=windows, drive=drive) if known else match[0]

    line = _VARIABLE.sub(value, line)
    line = re.sub(r'^("?)\\\?\?\\', r"\1", line)
    return re.sub(r'^("?)\\SystemRoot\\', lambda match: f"{match[1]}{windows}\\", line, flags=re.IGNORECASE)
