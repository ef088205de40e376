"""The way into guests: the QEMU guest agent, spoken to through libvirt.

The agent has no command that deletes a file: the guest's own shell does that.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import libvirt
import libvirt_qemu

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.guest import GuestLimits, GuestRun, own_file
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import MachineRef
from providers.kvm.faults import permanent
from providers.kvm.link import Link, act

_CHUNK = 64 * 1024
"""Bytes of a file in one message. With 256 KiB a real agent (7.2) never answers, with 128 KiB it does."""
_ANSWER = 20
"""Seconds that the agent has for one answer."""
_HINTS = {
    ErrorKind.UNSUPPORTED: "start it with its agent, or bring the facts by hand: `ferry collector show`",
    ErrorKind.UNCERTAIN: "the agent fell silent on the way; try again, the same files are written anew",
    ErrorKind.TRANSIENT: "the agent fell silent on the way; try again",
}
_MISSING = ("No such file", "cannot find the", "failed to open file")
_SILENT = tuple(
    getattr(libvirt, f"VIR_ERR_{name}")
    for name in (
        "AGENT_UNRESPONSIVE",
        "AGENT_UNSYNCED",
        "OPERATION_INVALID",
        "ARGUMENT_UNSUPPORTED",
        "CONFIG_UNSUPPORTED",
    )
)


class KvmGuests:
    """The GuestChannel role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def put_file(self, ref: MachineRef, path: str, content: bytes, effect: Effect) -> None:
        """See the contract."""
        domain = self._awake(ref)
        own_file(path, effect)
        entry = f"{ref.id}:{path}"
        effect.intend(ObjectKind.GUEST_FILE, entry, ref.name)
        what = f"write {path} in {ref.name}"
        act(effect, what, _asked, what, ErrorKind.UNCERTAIN, lambda: _write(domain, path, content))
        effect.made(ObjectKind.GUEST_FILE, entry)

    def run(
        self, ref: MachineRef, program: str, arguments: Sequence[str], limits: GuestLimits, effect: Effect
    ) -> GuestRun:
        """See the contract."""
        domain = self._awake(ref)
        what = f"run {program} in {ref.name}"
        job = {"path": program, "arg": list(arguments), "capture-output": True}
        started = act(
            effect, what, _asked, what, ErrorKind.UNCERTAIN, lambda: _ask(domain, "guest-exec", job)
        )
        until = time.monotonic() + limits.seconds
        pause = 0.02
        while not (now := self._read(domain, what, "guest-exec-status", {"pid": started["pid"]}))["exited"]:
            if time.monotonic() > until:
                message = f"{program} did not end within {limits.seconds:g} seconds in {ref.name}"
                raise ProviderError(ErrorKind.TIMEOUT, message, hint="it may go on running there")
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        output = base64.b64decode(now.get("out-data", "")) + base64.b64decode(now.get("err-data", ""))
        cut = bool(now.get("out-truncated") or now.get("err-truncated")) or len(output) > limits.output
        # Ended by a signal or an exception of Windows: no exit code, but not well either.
        return GuestRun(exit_code=int(now.get("exitcode", -1)), output=output[: limits.output], cut=cut)

    def read_file(self, ref: MachineRef, path: str, limit: int) -> bytes:
        """See the contract."""
        domain = self._awake(ref)
        what = f"read {path} in {ref.name}"
        content = bytearray()
        with self._opened(domain, what, path) as handle:
            while True:
                job = {"handle": handle, "count": min(_CHUNK, limit - len(content) + 1)}
                part = self._read(domain, what, "guest-file-read", job)
                content += base64.b64decode(part["buf-b64"])
                if len(content) > limit:
                    message = f"{path} in {ref.name} has more than {limit} bytes"
                    raise permanent(message)
                if part["eof"] or not part["count"]:
                    return bytes(content)

    def ensure_file_removed(self, ref: MachineRef, path: str, effect: Effect) -> None:
        """See the contract."""
        domain = self._awake(ref)
        own_file(path, effect)
        what = f"delete {path} in {ref.name}"
        if self._exists(domain, what, path):
            system = self._read(domain, what, "guest-get-osinfo", {})
            program, arguments = _deletion(path, windows=system.get("id") == "mswindows")
            self.run(ref, program, arguments, GuestLimits(seconds=60.0, output=1024), effect)
            if self._exists(domain, what, path):
                message = f"cannot {what}: it is still there"
                raise permanent(message, "delete it by hand")
        entry = f"{ref.id}:{path}"
        if effect.owns(ObjectKind.GUEST_FILE, entry):
            effect.removed(ObjectKind.GUEST_FILE, entry)

    def _awake(self, ref: MachineRef) -> Any:
        """Return the domain if its agent answers now. Raises ProviderError (UNSUPPORTED)."""
        domain = self._link.domain(ref)
        what = f"reach the guest agent of {ref.name}"
        ping = partial(_ask, domain, "guest-ping", {})
        self._link.read(what, _asked, what, ErrorKind.UNSUPPORTED, ping)
        return domain

    @contextmanager
    def _opened(self, domain: Any, what: str, path: str) -> Iterator[int]:
        handle = self._read(domain, what, "guest-file-open", {"path": path, "mode": "rb"})
        try:
            yield int(handle)
        finally:
            self._read(domain, what, "guest-file-close", {"handle": handle})

    def _exists(self, domain: Any, what: str, path: str) -> bool:
        try:
            with self._opened(domain, what, path):
                return True
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return False
            raise

    def _read(self, domain: Any, what: str, command: str, arguments: dict[str, Any]) -> Any:
        ask = partial(_ask, domain, command, arguments)
        return self._link.read(what, _asked, what, ErrorKind.TRANSIENT, ask)


def _asked(what: str, silence: ErrorKind, ask: Callable[[], Any]) -> Any:
    """Let the agent's own errors out as what they mean, its silence as `silence`; libvirt's others pass."""
    try:
        return ask()
    except libvirt.libvirtError as error:
        told = str(error)
        if error.get_error_code() in _SILENT:
            message = f"cannot {what}: {told}"
            raise ProviderError(silence, message, hint=_HINTS[silence]) from error
        if any(word in told for word in _MISSING):
            message = f"cannot {what}: {told}"
            raise ProviderError(ErrorKind.NOT_FOUND, message) from error
        raise


def _write(domain: Any, path: str, content: bytes) -> None:
    handle = _ask(domain, "guest-file-open", {"path": path, "mode": "wb"})
    try:
        for at in range(0, len(content), _CHUNK):
            _write_all(domain, handle, content[at : at + _CHUNK])
    finally:
        _ask(domain, "guest-file-close", {"handle": handle})


def _write_all(domain: Any, handle: int, part: bytes) -> None:
    while part:
        job = {"handle": handle, "buf-b64": base64.b64encode(part).decode()}
        count = int(_ask(domain, "guest-file-write", job)["count"])
        if count <= 0:
            message = "the guest takes no more of the file: is its disk full?"
            raise permanent(message)
        part = part[count:]


def _ask(domain: Any, command: str, arguments: dict[str, Any]) -> Any:
    words = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
    return json.loads(libvirt_qemu.qemuAgentCommand(domain, words, _ANSWER, 0))["return"]


def _deletion(path: str, *, windows: bool) -> tuple[str, tuple[str, ...]]:
    if windows:
        return "cmd.exe", ("/d", "/c", "del", "/f", "/q", path)
    return "rm", ("-f", "--", path)
