"""Accounts from SAM hives: the lab's, a real client's, and damaged ones."""

import contextlib
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.guest import facts
from orchestrator.guest.offline.hive import Hive
from orchestrator.guest.registry import RegistryValue

LAB = Path(__file__).parents[3] / "examples" / "kvm-lab"
if str(LAB) not in sys.path:
    sys.path.insert(0, str(LAB))

from lab import accounts, hive, regfile  # noqa: E402

MACHINE = "S-1-5-21-1-2-3"
USERS = (
    accounts.User(500, "Administrator"),
    accounts.User(1001, "jürgen", "Jürgen Müller", "left\x07", ("disabled",)),
)
GROUPS = (
    accounts.Group(544, "Administrators", members=(500, "S-1-5-21-9-9-9-512")),
    accounts.Group(545, "Users", members=("S-1-5-11", 1001)),
    accounts.Group(1002, "Scans", "who may scan", members=(1001,)),
    accounts.Group(1003, "Nobody"),
)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root, path = regfile.Key(""), tmp_path_factory.mktemp("sam") / "SAM"
    accounts.fill_sam(root, accounts.Accounts(MACHINE, USERS, GROUPS), 134_000_000_000_000_000)
    hive.write(path, root, 134_000_000_000_000_000)
    return path.read_bytes()


def test_users_and_groups_by_name(sam: bytes) -> None:
    root = Hive(sam).root()
    users, groups = facts.users(root), facts.groups(root)
    assert users is not None
    assert groups is not None
    assert [(one.name, one.rid, one.enabled, one.full_name, one.comment) for one in users] == [
        ("Administrator", 500, True, "", ""),
        ("jürgen", 1001, False, "Jürgen Müller", "left\ufffd"),
    ]
    assert [(one.name, one.rid, one.members) for one in groups] == [
        ("Administrators", 544, ("Administrator", "S-1-5-21-9-9-9-512")),
        ("Users", 545, ("jürgen", r"NT AUTHORITY\Authenticated Users")),
        ("Scans", 1002, ("jürgen",)),
        ("Nobody", 1003, ()),
    ]
    assert groups[2].comment == "who may scan"
    assert facts.local_names(root)[f"{MACHINE}-1002"] == "Scans"


def test_a_hive_without_accounts_is_unknown_not_empty() -> None:
    class Bare:
        name = ""

        def subkey(self, _: str) -> None:
            return None

        def subkeys(self) -> "contextlib.AbstractContextManager[None]":
            raise AssertionError

        def values(self) -> dict[str, RegistryValue]:
            return {}

        def value_names(self) -> tuple[str, ...]:
            return ()

    bare: object = Bare()
    assert facts.users(bare) is None  # type: ignore[arg-type]
    assert facts.groups(bare) is None  # type: ignore[arg-type]
    assert facts.local_names(bare) == {}  # type: ignore[arg-type]


def test_a_real_client(real_hive: Callable[[str], bytes]) -> None:
    root = Hive(real_hive("SAM")).root()
    users, groups = facts.users(root), facts.groups(root)
    assert users is not None
    assert groups is not None
    assert [(one.name, one.rid, one.enabled) for one in users] == [
        ("Administrator", 500, False),
        ("Guest", 501, False),
        ("Preston", 1000, True),
    ]
    by_name = {one.name: one for one in groups}
    assert len(groups) == 14
    assert by_name["Administrators"].members == ("Administrator", "Preston")
    assert by_name["IIS_IUSRS"].members == (r"NT AUTHORITY\IUSR",)
    assert by_name["Power Users"].members == ()


def test_no_byte_of_a_password_hash_is_ever_read(real_hive: Callable[[str], bytes]) -> None:
    """Whatever stands where the hashes are: the facts are the same, and so were not made from it."""
    root = Hive(real_hive("SAM")).root()
    plain = facts.users(root)
    key = root.subkey(r"SAM\Domains\Account\Users\000001F4")
    assert key is not None
    value = key.values()["v"].data
    names_end = 0xCC + max(
        int.from_bytes(value[at : at + 4], "little") + int.from_bytes(value[at + 4 : at + 8], "little")
        for at in (12, 24, 36)
    )
    assert names_end < len(value)
    data = real_hive("SAM")
    at = data.index(value)
    assert data.count(value) == 1
    other = data[: at + names_end] + bytes(len(value) - names_end) + data[at + len(value) :]
    assert facts.users(Hive(other).root()) == plain


@pytest.mark.parametrize("seed", range(20))
def test_a_mutated_sam_gives_accounts_or_a_clear_error(sam: bytes, seed: int) -> None:
    chance, data = random.Random(seed), bytearray(sam)
    for _ in range(60):
        data[chance.randrange(4096, len(data))] = chance.randrange(256)
    with contextlib.suppress(FerryError):
        root = Hive(bytes(data)).root()
        for read in (facts.users, facts.groups, facts.local_names):
            read(root)
