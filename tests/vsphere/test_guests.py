"""Guests on the rig's vCenter, by VMware Tools: files and programs, and every way in which they are not
reached."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from orchestrator.contract.guest import GuestLimits
from orchestrator.contract.provider import ObjectKind
from orchestrator.model.machine import MachineRef
from tests.rigs.certificates import Authority
from tests.rigs.vcsim import vcsim
from tests.rigs.vsphere_targets import GUEST, Targets, effect

LIMITS = GuestLimits(seconds=20.0, output=65536)
TEMP = "C:\\Windows\\Temp\\"
ECHO = "C:\\Tools\\echo.exe"


@pytest.fixture(scope="module")
def module_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    folder = tmp_path_factory.mktemp("vcenter")
    with vcsim(folder) as sim:
        yield Targets(sim, folder)


@pytest.fixture
def targets(module_targets: Targets) -> Iterator[Targets]:
    module_targets.again()
    yield module_targets
    module_targets.sim.control("faults/clear")
    module_targets.link.close()


@pytest.fixture
def guest(targets: Targets) -> MachineRef:
    return targets.guest()


def refused(kind: ErrorKind, call: Any, *given: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*given)
    assert caught.value.kind is kind, caught.value
    assert GUEST not in repr(caught.value)
    return caught.value


def ours(targets: Targets, guest: MachineRef) -> list[str]:
    return [file for file in targets.files(guest) if "ferry" in file]


class TestRun:
    """Programs."""

    @pytest.mark.parametrize(
        "argument",
        ["$HOME", "; exit 7", "a  b", "gr\u00fc\u00dfe", "%PATH%", "100%", "a&b", "a|more", "x>y", "^", "!v!",
         'say "hi"', "C:\\end\\", 'back\\"slash', "(a)", "", "2"],
    )  # fmt: skip
    def test_an_argument_arrives_as_it_is(self, targets: Targets, guest: MachineRef, argument: str) -> None:
        done = targets.guests.run(guest, ECHO, ["<", argument, ">"], LIMITS, effect("run"))
        assert done.output.decode() == f"< {argument} >\r\n"
        assert (done.exit_code, done.cut) == (0, False)

    def test_nothing_of_ours_is_left(self, targets: Targets, guest: MachineRef) -> None:
        hand = effect("run")
        targets.guests.run(guest, ECHO, ["x"], LIMITS, hand)
        assert ours(targets, guest) == []
        assert not hand.ledger.left(ObjectKind.GUEST_FILE)

    def test_a_program_of_windows_needs_no_path(self, targets: Targets, guest: MachineRef) -> None:
        for name in ("timeout", "timeout.exe"):
            assert targets.guests.run(guest, name, ["0"], LIMITS, effect("run")).exit_code == 0
        refused(ErrorKind.NOT_FOUND, targets.guests.run, guest, "echo.exe", [], LIMITS, effect("run"))

    def test_a_program_that_goes_on_is_a_timeout_and_its_file_stays_in_the_ledger(
        self, targets: Targets, guest: MachineRef
    ) -> None:
        hand = effect("run")
        limits = GuestLimits(seconds=0.3, output=10)
        refused(ErrorKind.TIMEOUT, targets.guests.run, guest, "C:\\Tools\\sleep.exe", ["5"], limits, hand)
        assert len(hand.ledger.left(ObjectKind.GUEST_FILE)) == 1

    def test_a_lost_reply_is_uncertain_and_starts_nothing_again(
        self, targets: Targets, guest: MachineRef
    ) -> None:
        targets.sim.control("counts/reset")
        targets.sim.control("fault", method="StartProgramInGuest", kind="reply-lost", times=1)
        hand = effect("run")
        refused(ErrorKind.UNCERTAIN, targets.guests.run, guest, ECHO, ["x"], LIMITS, hand)
        assert hand.ledger.left(ObjectKind.GUEST_FILE)
        assert targets.sim.control("counts")["calls"]["StartProgramInGuest"] == 1

    def test_a_lease_that_is_lost_starts_nothing(self, targets: Targets, guest: MachineRef) -> None:
        hand = effect("run")
        hand.lose_lease_at = 2  # its first call only writes the ledger
        with pytest.raises(LeaseLost):
            targets.guests.run(guest, ECHO, ["x"], LIMITS, hand)
        assert ours(targets, guest) == []


class TestAccess:
    """Who is let in."""

    def test_without_an_account_it_is_unsupported(self, targets: Targets, guest: MachineRef) -> None:
        targets.again(guest_username=None, guest_password=None)
        error = refused(ErrorKind.UNSUPPORTED, targets.guests.read_file, guest, TEMP + "x", 1)
        assert "guest_username" in error.hint

    def test_a_wrong_password_is_denied(self, targets: Targets, guest: MachineRef) -> None:
        targets.change_guest(guest, password="another")
        hand = effect("put")
        error = refused(ErrorKind.DENIED, targets.guests.put_file, guest, TEMP + hand.token, b"x", hand)
        assert "guest_password" in error.hint

    def test_tools_too_old_are_unsupported(self, targets: Targets, guest: MachineRef) -> None:
        targets.change_guest(guest, outdated=True)
        error = refused(ErrorKind.UNSUPPORTED, targets.guests.read_file, guest, TEMP + "x", 1)
        assert "too old" in error.hint

    def test_tools_that_take_no_operations_are_unsupported(self, targets: Targets, guest: MachineRef) -> None:
        """Running Tools alone are not enough: guestOperationsReady says it."""
        targets.change_guest(guest, ready=False)
        error = refused(ErrorKind.UNSUPPORTED, targets.guests.read_file, guest, TEMP + "x", 1)
        assert "take no operations" in error.message

    def test_a_host_with_another_certificate_is_denied_with_what_to_do(
        self, targets: Targets, guest: MachineRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files may come straight from an ESXi host."""
        stranger = ssl.create_default_context(cafile=str(Authority(tmp_path).file))
        targets.link.open()
        monkeypatch.setattr(targets.link.session, "tls", stranger)
        hand = effect("put")
        error = refused(ErrorKind.DENIED, targets.guests.put_file, guest, TEMP + hand.token, b"x", hand)
        assert "ESXi" in error.hint
        assert ours(targets, guest) == []


class TestFiles:
    """Files."""

    def test_an_end_in_the_middle_of_a_transfer_is_uncertain_for_a_write(
        self, targets: Targets, guest: MachineRef
    ) -> None:
        hand = effect("put")
        path = TEMP + hand.token
        targets.sim.control("fault", method="InitiateFileTransferToGuest", kind="reply-lost", times=1)
        refused(ErrorKind.UNCERTAIN, targets.guests.put_file, guest, path, b"x", hand)
        targets.guests.put_file(guest, path, b"whole", hand)
        assert targets.file(guest, path) == b"whole"

    def test_a_missing_folder_is_not_found(self, targets: Targets, guest: MachineRef) -> None:
        hand = effect("put")
        path = f"C:\\None\\{hand.token}"
        refused(ErrorKind.NOT_FOUND, targets.guests.put_file, guest, path, b"x", hand)

    def test_the_account_is_nowhere(self, targets: Targets, guest: MachineRef) -> None:
        hand = effect("put")
        targets.guests.put_file(guest, TEMP + hand.token, b"x", hand)
        targets.guests.run(guest, ECHO, ["x"], LIMITS, effect("run"))
        assert targets.leaks() == []
        assert GUEST not in repr(hand)
