"""Carries a collector into a guest and its output out, and has the output parsed in a confined child.

The parent's side: it never looks into the output itself.
"""

import re
from contextlib import ExitStack
from enum import StrEnum
from importlib.resources import files

from pydantic import ValidationError

from orchestrator.contract.guest import GuestChannel, GuestLimits, GuestRun
from orchestrator.contract.provider import Effect
from orchestrator.diagnostics import FerryError
from orchestrator.guest.clean import clean
from orchestrator.guest.collectors.parse import CHUNK, REQUEST
from orchestrator.guest.collectors.raw import MAX_RAW
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import MachineRef
from orchestrator.sandbox import Limits, run_in_sandbox

_LIMITS = Limits(output=32 * 1024 * 1024)
_PARSE = "orchestrator.guest.collectors.parse:parse"
_RUN_LIMITS = GuestLimits(seconds=900.0, output=64 * 1024)
_FOLDER = re.compile(r"[A-Za-z]:(?:\\[A-Za-z0-9_. -]{1,60}){1,4}")
_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"ferry-collect"\s*:')


class Collector(StrEnum):
    """A script: cscript for Windows Server 2008, PowerShell 5.1 for 2022 and 2025."""

    CSCRIPT = "cscript"
    POWERSHELL = "powershell"


_FILES = {Collector.CSCRIPT: "ferry-collect.vbs", Collector.POWERSHELL: "ferry-collect.ps1"}


def script(collector: Collector) -> str:
    """Return the script's text."""
    return files(__package__).joinpath(_FILES[collector]).read_text("ascii")


def is_output(data: bytes) -> bool:
    """Tell whether a file begins as a collector's output does."""
    return _HEAD.match(data[:200]) is not None


def facts_from_output(data: bytes, *, limits: Limits | None = None) -> ServerFacts:
    """Read the output of a collector in a confined child that has no file and no network.

    Raises FerryError: it is no such output ("bad-collection"), or "sandbox-...".
    """
    if len(data) > MAX_RAW:
        message = f"the collector's output is larger than {MAX_RAW // 1024**2} MiB"
        raise FerryError(message, code="bad-collection")

    def answer(request: bytes) -> bytes:
        (offset,) = REQUEST.unpack(request)
        return data[offset : offset + CHUNK]

    found = run_in_sandbox(_PARSE, len(data), limits=limits or _LIMITS, answer=answer)
    try:
        return ServerFacts.model_validate(found)
    except ValidationError as fault:
        message = "the parser's result is not a set of facts"
        raise FerryError(message, code="sandbox-crash") from fault


def collect_in_guest(
    channel: GuestChannel, ref: MachineRef, collector: Collector, effect: Effect
) -> ServerFacts:
    """Put the collector into the running guest, run it, fetch its output, and delete both in any case.

    Raises ProviderError, LeaseLost, FerryError (code "collector-failed").
    """
    windows = _windows(channel, ref, effect)
    # Only administrators may write into the folder of Windows: nobody else can exchange the script there.
    stem = rf"{windows}\{effect.token}"
    suffix = _FILES[collector].rpartition(".")[2]
    code, output = f"{stem}.{suffix}", f"{stem}.json"
    with ExitStack() as always:
        for path in (code, output, f"{output}.tmp"):
            always.callback(channel.ensure_file_removed, ref, path, effect)
        channel.put_file(ref, code, script(collector).replace("\n", "\r\n").encode("ascii"), effect)
        program, arguments = _command(collector, windows, code, output)
        done = channel.run(ref, program, arguments, _RUN_LIMITS, effect)
        if done.exit_code:
            raise _failed(ref, done)
        data = channel.read_file(ref, output, MAX_RAW)
    return facts_from_output(data)


def _failed(ref: MachineRef, done: GuestRun) -> FerryError:
    words = clean(done.output.decode("utf-8", "replace"), 300) or "it said nothing"
    message = f"the collector ended with {done.exit_code} on {ref.name}: {words}"
    return FerryError(
        message, hint="bring the facts by hand: `ferry collector show`", code="collector-failed"
    )


def _windows(channel: GuestChannel, ref: MachineRef, effect: Effect) -> str:
    arguments = ("/d", "/c", "echo %SystemRoot%")
    told = channel.run(ref, "cmd.exe", arguments, GuestLimits(seconds=60.0, output=4096), effect)
    folder = told.output.decode("ascii", "replace").strip()
    if told.exit_code or not _FOLDER.fullmatch(folder):
        message = f"{ref.name} does not say where its Windows is"
        raise FerryError(message, hint="is its guest a Windows?", code="collector-failed")
    return folder


def _command(collector: Collector, windows: str, code: str, output: str) -> tuple[str, tuple[str, ...]]:
    system = rf"{windows}\System32"
    if collector is Collector.CSCRIPT:
        return rf"{system}\cscript.exe", ("//nologo", code, output)
    options = ("-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File")
    return rf"{system}\WindowsPowerShell\v1.0\powershell.exe", (*options, code, output)
