"""Runs a Python function in a confined child and answers its questions.

Must not know what the function parses.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.diagnostics import FerryError
from orchestrator.model.text import printable
from orchestrator.sandbox.channel import ASK, FAILURE, RESULT, ChannelError, receive, send
from orchestrator.sandbox.confine import Limits, confined, last_line

Answer = Callable[[bytes], bytes]
_MAX_ASK = 64 * 1024


def run_in_sandbox(
    spec: str,
    argument: Any,
    *,
    limits: Limits | None = None,
    answer: Answer | None = None,
    path: Sequence[Path] = (),
) -> Any:
    """Call `spec` ("module:function") in a child that sees no file but Python's own, and return its result
    (JSON).

    The function takes (argument, ask): the argument as JSON, and a function that hands bytes to `answer`
    here and returns its bytes. `path`: folders that the child may import from besides ferry's own. Raises
    FerryError: the child's own one, or one whose code says what happened ("sandbox-timeout",
    "sandbox-memory", "sandbox-output", "sandbox-crash"). What `answer` raises comes through unchanged.
    """
    limits = limits or Limits()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        python = [sys.executable, "-I", "-B", "-m", "orchestrator.sandbox.child"]
        command = [*python, str(theirs.fileno()), spec, *map(str, path)]
        wrapped = confined(command, limits, read=[*_python_files(), *path])
        null = subprocess.DEVNULL
        with subprocess.Popen(
            wrapped, stdin=null, stdout=null, stderr=subprocess.PIPE, pass_fds=[theirs.fileno()]
        ) as process:
            theirs.close()
            try:
                return _talk(ours, argument, limits, answer)
            except TimeoutError as late:
                message = f"{spec} did not end within {limits.wall:.0f} seconds"
                raise FerryError(message, code="sandbox-timeout") from late
            except (ChannelError, OSError) as fault:
                raise _ended(process, spec, limits, str(fault)) from fault
            finally:
                process.kill()


def _talk(ours: socket.socket, argument: Any, limits: Limits, answer: Answer | None) -> Any:
    until = time.monotonic() + limits.wall
    ours.settimeout(limits.wall)
    send(ours, RESULT, json.dumps(argument).encode())
    allowed = {RESULT: limits.output, FAILURE: _MAX_ASK}
    if answer is not None:
        allowed[ASK] = _MAX_ASK
    while True:
        kind, payload = receive(ours, allowed)
        ours.settimeout(max(until - time.monotonic(), 0.001))
        if kind == RESULT:
            return _decoded(payload)
        if kind == FAILURE:
            raise _told(_decoded(payload))
        if answer is not None:
            send(ours, RESULT, answer(payload))


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as fault:
        message = "its result makes no sense"
        raise ChannelError(message) from fault


def _told(failure: Any) -> FerryError:
    if not isinstance(failure, dict):
        failure = {}
    words = {key: printable(str(failure.get(key, "")), 300) for key in ("message", "hint", "code")}
    return FerryError(words["message"], hint=words["hint"], code=words["code"] or "sandbox-crash")


def _ended(process: subprocess.Popen[bytes], spec: str, limits: Limits, why: str) -> FerryError:
    """Say how the child came to its end; `why` is what the channel saw, if it was not the end itself."""
    if why:
        return FerryError(f"{spec} was stopped: {printable(why, 300)}", code="sandbox-output")
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        code = 0
    signal = -code if code < 0 else code - 128
    if signal in (9, 24):
        message = (
            f"{spec} was killed: it used more than {limits.cpu} seconds of processor time, or memory ran out"
        )
        return FerryError(message, code="sandbox-timeout")
    how = f"signal {signal}" if signal > 0 else f"exit code {code}"
    said = _last_words(process)
    return FerryError(f"{spec} crashed ({how}){said and f': {said}'}", code="sandbox-crash")


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """Return what bwrap or the interpreter said last; the function itself has no stderr."""
    if process.stderr is None:
        return ""
    os.set_blocking(process.stderr.fileno(), False)
    return last_line(process.stderr.read(4096) or b"")


def _python_files() -> list[Path]:
    """Name the folders that this interpreter and this package live in."""
    package = importlib.util.find_spec("orchestrator")
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent]
    if package is not None:
        places += map(Path, package.submodule_search_locations or ())
    return [place for place in dict.fromkeys(places) if not place.is_relative_to("/usr")]
