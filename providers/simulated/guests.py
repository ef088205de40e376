"""The way into simulated guests: files, and programs that do what the centre's file says they do.

An agent answers where the machine runs and has a guest that says what it is.
"""

import base64
from collections.abc import Sequence

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.guest import GuestLimits, GuestRun, own_file
from orchestrator.contract.provider import Capability, Effect, ObjectKind, unsupported
from orchestrator.model.machine import MachineRef, PowerState
from providers.simulated.site import Site, find
from providers.simulated.world import Centre, SimMachine


class SimGuests:
    """Implements the role GuestChannel."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def put_file(self, ref: MachineRef, path: str, content: bytes, effect: Effect) -> None:
        """Write a file."""
        self._look(ref)
        own_file(path, effect)
        entry = f"{ref.id}:{path}"
        effect.intend(ObjectKind.GUEST_FILE, entry, ref.name)
        with self._site.change("guests.put_file", effect, f"write {path} in {ref.name}", ref) as centre:
            _guest(centre, ref).guest_files[path] = base64.b64encode(content).decode()
        effect.made(ObjectKind.GUEST_FILE, entry)

    def run(
        self, ref: MachineRef, program: str, arguments: Sequence[str], limits: GuestLimits, effect: Effect
    ) -> GuestRun:
        """Do what the program does: print, write the file that its last argument names, take its time."""
        known = self._look(ref).programs.get(program)
        if known is None:
            message = f"there is no {program} in {ref.name}"
            raise ProviderError(ErrorKind.NOT_FOUND, message)
        with self._site.change("guests.run", effect, f"run {program} in {ref.name}", ref) as centre:
            if known.writes and arguments and known.seconds <= limits.seconds:
                written = base64.b64encode(known.writes.encode()).decode()
                _guest(centre, ref).guest_files[arguments[-1]] = written
        if known.seconds > limits.seconds:
            message = f"{program} did not end within {limits.seconds:.0f} seconds in {ref.name}"
            raise ProviderError(ErrorKind.TIMEOUT, message, hint="it may go on running")
        words = " ".join(arguments) if known.echoes else known.output
        output = words.encode()
        return GuestRun(
            exit_code=known.exit_code, output=output[: limits.output], cut=len(output) > limits.output
        )

    def read_file(self, ref: MachineRef, path: str, limit: int) -> bytes:
        """Return a file's content."""
        stored = self._look(ref).guest_files.get(path)
        if stored is None:
            message = f"there is no {path} in {ref.name}"
            raise ProviderError(ErrorKind.NOT_FOUND, message)
        content = base64.b64decode(stored)
        if len(content) > limit:
            message = f"{path} in {ref.name} has more than {limit} bytes"
            raise ProviderError(ErrorKind.PERMANENT, message)
        return content

    def ensure_file_removed(self, ref: MachineRef, path: str, effect: Effect) -> None:
        """Remove a file of ours."""
        machine = self._look(ref)
        own_file(path, effect)
        if path in machine.guest_files:
            with self._site.change("guests.remove", effect, f"delete {path} in {ref.name}", ref) as centre:
                _guest(centre, ref).guest_files.pop(path, None)
        entry = f"{ref.id}:{path}"
        if effect.owns(ObjectKind.GUEST_FILE, entry):
            effect.removed(ObjectKind.GUEST_FILE, entry)

    def _look(self, ref: MachineRef) -> SimMachine:
        self._site.need(Capability.GUEST_CHANNEL, "bring the facts by hand: `ferry collector show`")
        return _guest(self._site.read("guests.look", ref), ref)


def _guest(centre: Centre, ref: MachineRef) -> SimMachine:
    """Return the machine if its agent answers."""
    machine = find(centre, ref)
    if machine.power is not PowerState.ON or machine.guest is None:
        why = "its agent does not answer" if machine.power is PowerState.ON else f"it is {machine.power}"
        what = f"reaching into {ref.name} ({why})"
        raise unsupported(what, "start it, or bring the facts by hand: `ferry collector show`")
    return machine
