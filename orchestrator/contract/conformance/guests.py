"""The way into a guest: what is put there is there, what ran has ended as it says, what was put is gone."""

from collections.abc import Sequence

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    refused,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.guest import GuestLimits, GuestRun
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import MachineRef

LIMITS = GuestLimits(seconds=60.0, output=65536)

CONTENT = bytes(range(256)) * 4096
"""1 MiB of every byte: more than an agent takes in one message."""


def own_path(rig: Rig, hand: RecordingEffect, suffix: str = ".txt") -> str:
    """Return a path that this effect may write."""
    return f"{rig.guest_folder}{hand.token}{suffix}"


def ran(
    adapter: Adapter,
    ref: MachineRef,
    command: Sequence[str],
    *more: str,
    limits: GuestLimits = LIMITS,
) -> GuestRun:
    """Run a program of the rig's."""
    return adapter.guests.run(ref, command[0], (*command[1:], *more), limits, effect("run"))


class TestGuestChannel:
    """put_file, run, read_file, ensure_file_removed."""

    @needs(Capability.GUEST_CHANNEL)
    def test_what_is_put_is_there_and_comes_back(self, adapter: Adapter, rig: Rig) -> None:
        ref, hand = rig.make_guest(rig.name("vm")), effect("put")
        path = own_path(rig, hand)
        for content in (CONTENT, b"", b"less than before"):
            adapter.guests.put_file(ref, path, content, hand)
            assert rig.guest_file(ref, path) == content
            assert adapter.guests.read_file(ref, path, len(content)) == content
        adapter.guests.ensure_file_removed(ref, path, hand)

    @needs(Capability.GUEST_CHANNEL)
    def test_removed_file_is_gone_and_removing_again_is_fine(self, adapter: Adapter, rig: Rig) -> None:
        ref, hand = rig.make_guest(rig.name("vm")), effect("put")
        path = own_path(rig, hand)
        adapter.guests.put_file(ref, path, b"x", hand)
        adapter.guests.ensure_file_removed(ref, path, hand)
        assert rig.guest_file(ref, path) is None
        assert not hand.ledger.left(ObjectKind.GUEST_FILE)
        repeat = again(hand)
        adapter.guests.ensure_file_removed(ref, path, repeat)
        assert repeat.mutations == 0
        with refused(ErrorKind.NOT_FOUND):
            adapter.guests.read_file(ref, path, 10)

    @needs(Capability.GUEST_CHANNEL)
    def test_file_longer_than_the_limit_is_refused(self, adapter: Adapter, rig: Rig) -> None:
        ref, hand = rig.make_guest(rig.name("vm")), effect("put")
        path = own_path(rig, hand)
        adapter.guests.put_file(ref, path, b"12345", hand)
        with refused(ErrorKind.PERMANENT):
            adapter.guests.read_file(ref, path, 4)
        adapter.guests.ensure_file_removed(ref, path, hand)

    @needs(Capability.GUEST_CHANNEL)
    def test_foreign_path_is_neither_written_nor_removed(self, adapter: Adapter, rig: Rig) -> None:
        ref, owner, other = rig.make_guest(rig.name("vm")), effect("put"), effect("put")
        path = own_path(rig, owner)
        adapter.guests.put_file(ref, path, b"theirs", owner)
        with refused(ErrorKind.PERMANENT):
            adapter.guests.put_file(ref, path, b"ours", other)
        with refused(ErrorKind.PERMANENT):
            adapter.guests.ensure_file_removed(ref, path, other)
        assert rig.guest_file(ref, path) == b"theirs"
        adapter.guests.ensure_file_removed(ref, path, owner)

    @needs(Capability.GUEST_CHANNEL)
    def test_program_gets_its_arguments_as_they_are(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_guest(rig.name("vm"))
        done = ran(adapter, ref, rig.guest_programs.echo, "a  b", "$HOME", "; exit 7", "gr\u00fc\u00dfe")
        assert (done.exit_code, done.cut) == (0, False)
        assert done.output.decode().strip() == "a  b $HOME ; exit 7 gr\u00fc\u00dfe"

    @needs(Capability.GUEST_CHANNEL)
    def test_exit_code_is_told_and_too_much_output_is_cut(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_guest(rig.name("vm"))
        assert ran(adapter, ref, rig.guest_programs.fail).exit_code == 3
        limits = GuestLimits(seconds=60.0, output=10)
        done = ran(adapter, ref, rig.guest_programs.echo, "x" * 1000, limits=limits)
        assert (done.output, done.cut) == (b"x" * 10, True)

    @needs(Capability.GUEST_CHANNEL)
    def test_program_that_does_not_end_is_a_timeout(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_guest(rig.name("vm"))
        with refused(ErrorKind.TIMEOUT):
            ran(adapter, ref, rig.guest_programs.sleep, limits=GuestLimits(seconds=0.5, output=10))

    @needs(Capability.GUEST_CHANNEL)
    def test_missing_program_and_missing_folder_are_refused(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_guest(rig.name("vm"))
        with refused(ErrorKind.NOT_FOUND, ErrorKind.PERMANENT):
            ran(adapter, ref, ("no-such-program-6003",))
        with refused(ErrorKind.NOT_FOUND):
            adapter.guests.read_file(ref, f"{rig.guest_folder}no-such-file", 10)

    @needs(Capability.GUEST_CHANNEL)
    def test_machine_without_an_agent_is_unsupported(self, adapter: Adapter, rig: Rig) -> None:
        hand = effect("put")
        for running in (True, False):
            ref = rig.make_machine(rig.name("vm"), running=running)
            with refused(ErrorKind.UNSUPPORTED):
                adapter.guests.put_file(ref, own_path(rig, hand), b"", hand)
            with refused(ErrorKind.UNSUPPORTED):
                adapter.guests.read_file(ref, own_path(rig, hand), 1)
        assert not hand.ledger.left(ObjectKind.GUEST_FILE)

    @needs(Capability.GUEST_CHANNEL)
    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def setup() -> MachineRef:
            return rig.make_guest(rig.name("vm"))

        def act(ref: MachineRef, hand: RecordingEffect) -> tuple[MachineRef, str]:
            path = own_path(rig, hand)
            try:
                adapter.guests.put_file(ref, path, b"here", hand)
                assert rig.guest_file(ref, path) == b"here"
            finally:
                adapter.guests.ensure_file_removed(ref, path, hand)
            return ref, path

        def check(ref: MachineRef, done: tuple[MachineRef, str], ledger: Ledger) -> None:
            assert rig.guest_file(*done) is None
            assert not ledger.left(ObjectKind.GUEST_FILE)

        at_every_crash(setup, act, check)
        at_every_lost_lease(rig, setup, act, check)
