"""Arguments go through cmd.exe as they are. Whether readers agree, the tests on the rig and in Wine show."""

from __future__ import annotations

import re

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.vsphere.commandline import LONGEST, arguments_for

OUT = r"C:\Windows\Temp\ferry.R.H.S-1.out"


def inner(*arguments: str, program: str = r"C:\Program Files\a.exe") -> str:
    line = arguments_for(program, arguments, OUT)
    assert line.startswith('/d /s /c "')
    assert line.endswith('"')
    return line.removeprefix('/d /s /c "').removesuffix('"')


def test_the_program_is_quoted_and_both_streams_go_to_the_file() -> None:
    assert inner("x") == rf'"C:\Program Files\a.exe" x >"{OUT}" 2>&1'


def test_no_character_of_an_argument_means_anything_to_cmd() -> None:
    text = inner('a&b|c<d>e^f(g)h%i%!j"k')
    argument = text.split('.exe" ', 1)[1].rsplit(" >", 1)[0]
    assert not re.search(r'(?<!\^)(\^\^)*[&|<>()%!"]', argument.replace("^^", ""))
    assert argument.count("^%") == 2


def test_a_digit_at_the_end_is_no_stream() -> None:
    assert " 2 >" in inner("2")


def test_an_empty_argument_stays_one() -> None:
    assert ' ^"^" >' in inner("")


@pytest.mark.parametrize("argument", ["a\nb", "a\rb", "a\0b"])
def test_a_line_break_is_refused(argument: str) -> None:
    with pytest.raises(ProviderError, match="line break") as caught:
        inner(argument)
    assert caught.value.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize("program", ['C:\\a".exe', "C:\\%PATH%.exe", "C:\\a|b.exe", "C:\\a\n.exe"])
def test_a_program_that_no_path_can_name_is_refused(program: str) -> None:
    with pytest.raises(ProviderError, match="no path"):
        inner(program=program)


def test_a_line_longer_than_cmd_takes_is_refused() -> None:
    with pytest.raises(ProviderError, match=str(LONGEST)):
        inner("x" * LONGEST)
    assert inner("x" * 8000)
