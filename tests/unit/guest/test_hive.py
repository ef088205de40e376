"""The hive reader against hivex and libregf, on lab hives and real ones, and against damage."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import FerryError
from orchestrator.guest import facts
from orchestrator.guest.offline.hive import DamagedHive, Hive
from orchestrator.guest.registry import number, text, texts
from tests.unit.guest.oracles import comparable, digest_by_hivex, our_digest, ours, read_by_libregf

BIG = 70_000
TREE: dict[str, Any] = {
    "Select": {"Current": 1},
    r"ControlSet001\Services\Spooler": {"Type": 16, "Start": 2, "DisplayName": "Druck-Dienst äöü €"},
    r"ControlSet001\Services\LanmanServer\Shares": {"Groups": ["Path=D:\\Groups", "Remark=x"]},
    r"ControlSet001\Control\ProductOptions": {"ProductType": "ServerNT"},
    "Empty": {},
    "Ünïcode €": {"": "the default value", "big": "x" * BIG, "nothing": ""},
} | {rf"Many\K{n:04d}": {"n": n} for n in range(1200)}


@pytest.fixture(scope="module")
def built(make_hive: Any) -> bytes:
    return bytes(make_hive(TREE))


def test_reads_what_was_written(built: bytes) -> None:
    root = Hive(built).root()
    spooler = root.subkey(r"controlset001\SERVICES\spooler")
    assert spooler is not None
    assert (number(spooler, "start"), text(spooler, "displayname")) == (2, "Druck-Dienst äöü €")
    odd = root.subkey("Ünïcode €")
    assert (text(odd, ""), text(odd, "nothing"), len(text(odd, "big") or "")) == (
        "the default value",
        "",
        BIG,
    )
    assert texts(root.subkey(r"ControlSet001\Services\LanmanServer\Shares"), "Groups")[0] == "Path=D:\\Groups"
    many = root.subkey("Many")
    assert many is not None
    assert [number(child, "n") for child in many.subkeys()] == list(range(1200))
    assert root.subkey(r"Many\K9999") is None
    assert root.subkey(r"Empty\Nothing") is None


def test_a_value_of_another_type_is_as_good_as_absent(built: bytes) -> None:
    spooler = Hive(built).root().subkey(r"ControlSet001\Services\Spooler")
    assert (text(spooler, "Start"), number(spooler, "DisplayName"), texts(spooler, "Start")) == (
        None,
        None,
        (),
    )


def test_same_as_libregf_and_hivex_on_a_built_hive(built: bytes, make_hive: Any, tmp_path: Path) -> None:
    assert our_digest(built) == digest_by_hivex(built, tmp_path)
    # hivex keeps a large value in one cell, as Windows never does: libregf cannot read that, ours must.
    small = make_hive({path: values for path, values in TREE.items() if "big" not in values})
    assert comparable(ours(Hive(small).root())) == read_by_libregf(small)


@pytest.mark.parametrize("name", ["SYSTEM", "SAM"])
def test_same_as_libregf_and_hivex_on_a_real_hive(real_hive: Any, name: str, tmp_path: Path) -> None:
    data = real_hive(name)
    assert comparable(ours(Hive(data).root())) == read_by_libregf(data)
    assert our_digest(data) == digest_by_hivex(data, tmp_path)


def test_a_really_damaged_hive_ends_in_a_clear_error(real_hive: Any) -> None:
    data = real_hive("corrupted_system_hive")
    with pytest.raises(DamagedHive, match=r"damaged|leads outside"):
        list(ours(Hive(data).root()))


@pytest.mark.parametrize("data", [b"", b"regf", b"MZ" + bytes(9000), b"regf" + bytes(9000)])
def test_what_is_no_hive_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedHive):
        Hive(data).root()


def everything(data: bytes) -> None:
    """All that ferry ever reads from a SYSTEM hive."""
    root = Hive(data).root()
    control = facts.control_set(root)
    if control:
        facts.identity(root, control)
        facts.services(control)
        facts.shares(control)
        facts.network(control)
    facts.software(root, None)


@given(
    st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=4)), min_size=1, max_size=12)
)
def test_a_mutated_hive_is_read_or_refused(built_small: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(built_small)
    for place, content in changes:
        at = place % (len(data) - 4)
        data[at : at + len(content)] = content
    with contextlib.suppress(FerryError):
        everything(bytes(data))


@given(st.integers(0, 1 << 30))
def test_a_truncated_hive_is_read_or_refused(built_small: bytes, length: int) -> None:
    with contextlib.suppress(FerryError):
        everything(built_small[: length % len(built_small)])


@pytest.fixture(scope="module")
def built_small(make_hive: Any) -> bytes:
    return bytes(make_hive({path: values for path, values in TREE.items() if not path.startswith("Many")}))


def test_keys_that_contain_themselves_end(make_hive: Any) -> None:
    data = bytearray(make_hive({r"A\B\C": {"x": 1}}))
    a = Hive(bytes(data)).root().subkey("A")
    assert a is not None
    # B's list of keys becomes A's list: B contains itself.
    spots = [at for at in range(4096, len(data) - 4) if data[at : at + 2] == b"nk"]
    by_name = {bytes(data[at + 76 : at + 77]): at for at in spots}
    at_a, at_b = by_name[b"A"], by_name[b"B"]
    data[at_b + 28 : at_b + 32] = data[at_a + 28 : at_a + 32]
    with pytest.raises(DamagedHive, match="not a key"):
        list(ours(Hive(bytes(data)).root()))
