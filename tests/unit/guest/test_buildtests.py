"""Which lines look for exactly build 6002, and which programs command lines start."""

import pytest

from orchestrator.guest import facts

HITS = [
    'if "%BUILD%"=="6002" goto ok',
    'ver | find "6.0.6002" >nul && goto vista',
    'ver | findstr /C:"Version 6.0.6002"',
    'wmic os get BuildNumber | find "6002"',
    'If objOS.BuildNumber = "6002" Then',
    "If os.BuildNumber <> 6002 Then WScript.Quit 1",
    "if ($os.BuildNumber -ne 6002) { exit 1 }",
    "if ([Environment]::OSVersion.Version.Build -eq 6002) {",
    'if (build === "6002") {',
    '    Case "6002"',
    "IF %b% EQU 6002 GOTO sp2",
    "if %b% LEQ 6002 goto old",
    "if ($b -gt 6002) { throw }",
    "Const WINDOWS_BUILD = 6002",
    'reg query "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion" /v CurrentBuild | find "6002"',
    'strComputer = "winver 6002"',
    "cscript check.vbs /osbuild:6002",
    'if InStr(s, "6002") > 0 then',
]
MISSES = [
    "netsh portproxy add v4tov4 listenport=16002",
    "telnet db3 6002",
    'if "%PORT%"=="6002" echo busy',
    "server.exe --port 6002",
    "if errorlevel 6002 exit /b 6002",
    "rem only build 6002 was tested",
    ":: version 6002",
    "' If build = 6002",
    "# Build 6002",
    "// build 6002",
    "wusa.exe KB6002123.msu /quiet",
    "set HOTFIX=KB976002",
    "version 1.6002",
    "build=60021",
    "build 160022",
    "{0D4E9B51-2B60-4B0A-6002-6003F0000001}",
    'if "%BUILD%"=="6002" if not "%BUILD%"=="6003" goto x',
    'findstr "6002 6003" build.txt',
    "if %b% GEQ 6002 goto new",
    "if ($build -ge 6002) { install }",
    "if build >= 6002 then",
    "if %b% LSS 6002 goto tooold",
    "timeout 6002",
    "copy 6002.txt D:\\",
    "order 6002 is ready",
]


@pytest.mark.parametrize("line", HITS)
def test_a_line_that_looks_for_the_build(line: str) -> None:
    assert facts.is_build_test(line)


@pytest.mark.parametrize("line", MISSES)
def test_a_line_that_does_not(line: str) -> None:
    assert not facts.is_build_test(line)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
def test_places_in_a_script(encoding: str) -> None:
    script = 'echo ü\r\nif "%b%"=="6002" goto x\r\nif "%p%"=="1"\r\nif not %v% == 6002 exit\x1b\r\n'
    found = list(facts.build_tests("C:\\x.cmd", script.encode(encoding)))
    assert [(one.path, one.line, one.text) for one in found] == [
        ("C:\\x.cmd", 2, 'if "%b%"=="6002" goto x'),
        ("C:\\x.cmd", 4, "if not %v% == 6002 exit\ufffd"),
    ]


def test_a_long_hostile_line_is_quick() -> None:
    assert list(facts.build_tests("x", b"if " + b"=" * 500_000 + b" 6002" + b'"' * 400_000)) == []


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (r"C:\App\a.exe -x", r"C:\App\a.exe"),
        (r'"C:\Program Files\A b\a.exe" /s', r"C:\Program Files\A b\a.exe"),
        (r"C:\Program Files\A b\a.exe /s C:\x.exe", r"C:\Program Files\A b\a.exe"),
        (r"%SystemRoot%\system32\svchost.exe -k netsvcs", r"C:\Windows\system32\svchost.exe"),
        (r"\SystemRoot\System32\smss.exe", r"C:\Windows\System32\smss.exe"),
        (r"\??\D:\x\y.exe", r"D:\x\y.exe"),
        (r"system32\lsass.exe", r"C:\Windows\system32\lsass.exe"),
        (r"%ProgramFiles%\x.exe", r"C:\Program Files\x.exe"),
        (r"C:\x\y", r"C:\x\y"),
        ("x.exe", None),
        (r"C:\..\x.exe", None),
        (r"%unknown%\x.exe", None),
        (r"\\server\share\x.exe", None),
        ("", None),
    ],
)
def test_the_program_of_a_command_line(command: str, path: str | None) -> None:
    assert facts.program_path(command) == path
