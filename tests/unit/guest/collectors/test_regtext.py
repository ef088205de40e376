"""What `reg export` writes is read back as it was stored; odd lines are counted, never a failure."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.guest.collectors.regtext import TextKey, read_export
from orchestrator.guest.registry import number, text, texts


def exported(*lines: str) -> tuple[TextKey, int]:
    root = TextKey("")
    odd = read_export(["Windows Registry Editor Version 5.00", "", "[HKLM\\A]", *lines], root)
    key = root.subkey(r"hklm\a")
    assert key is not None
    return key, odd


def test_text_number_and_default_value() -> None:
    key, odd = exported('@="default"', '"Name"="a \\"b\\" C:\\\\x"', '"N"=dword:0000000a')
    assert (text(key, ""), text(key, "name"), number(key, "n"), odd) == ("default", 'a "b" C:\\x', 10, 0)
    assert key.value_names() == ("", "Name", "N")


def test_hex_over_several_lines() -> None:
    key, odd = exported(
        '"M"=hex(7):61,00,00,00,\\', "  62,00,00,00,\\", "  00,00", '"B"=hex:01,ff', '"E"=hex:'
    )
    assert texts(key, "M") == ("a", "b")
    assert (key.values()["b"], key.values()["e"].data, odd) == ((3, b"\x01\xff"), b"", 0)


def test_text_with_a_line_break() -> None:
    key, odd = exported('"T"="one', 'two"', '"After"="x"')
    assert (text(key, "T"), text(key, "After"), odd) == ("one\ntwo", "x", 0)


def test_name_with_quote_and_backslash() -> None:
    key, _ = exported('"a\\\\b \\"c\\" =hex:"="v"')
    assert text(key, 'a\\b "c" =hex:') == "v"


def test_odd_lines_are_counted_and_passed_over() -> None:
    key, odd = exported("nonsense", '"X"=dword:zz', '"Y"=hex(7):0', '"Z"="ok"')
    assert (text(key, "Z"), odd) == ("ok", 3)


def test_keys_are_found_without_regard_to_case_and_listed_as_written() -> None:
    root = TextKey("")
    read_export(["[HKLM\\Soft\\One]", "[HKLM\\soft\\Two]", '"v"="1"'], root)
    below = root.subkey("hklm\\SOFT")
    assert below is not None
    assert [key.name for key in below.subkeys()] == ["One", "Two"]
    assert root.subkey("HKLM\\Missing") is None


@given(st.lists(st.text(alphabet='[]"\\=@,:hexdword(7)0a \n', max_size=40), max_size=30))
def test_no_text_makes_it_fail(lines: list[str]) -> None:
    read_export(lines, TextKey(""))
