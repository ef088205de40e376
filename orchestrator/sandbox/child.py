"""What runs inside the sandbox: calls one function and sends its result over the inherited socket.

Run by `runner` only.

The function gets the argument (JSON) and `ask`, which sends bytes to the parent and returns its answer; it
returns JSON. A failure is told without a traceback: what is parsed is hostile, and its text could be in it.
"""

import importlib
import json
import os
import socket
import sys
import traceback
from typing import Any

from orchestrator.diagnostics import FerryError
from orchestrator.sandbox.channel import ASK, FAILURE, RESULT, receive, send

_MAX_ANSWER = 16 * 1024 * 1024


def main(handle: str, spec: str, *path: str) -> None:
    """Take the argument from socket `handle`, call `spec` ("module:function") and send what it returns."""
    _close_stderr()
    with socket.socket(fileno=int(handle)) as parent:
        _, argument = receive(parent, {RESULT: _MAX_ANSWER})

        def ask(request: bytes) -> bytes:
            send(parent, ASK, request)
            return receive(parent, {RESULT: _MAX_ANSWER})[1]

        kind, reply = _call(spec, path, json.loads(argument), ask)
        send(parent, kind, json.dumps(reply).encode())


def _close_stderr() -> None:
    """Up to here stderr tells why the child could not begin; from here on it could quote what is parsed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _call(spec: str, path: tuple[str, ...], argument: Any, ask: Any) -> tuple[bytes, Any]:
    try:
        sys.path.extend(path)
        module, name = spec.split(":")
        return RESULT, getattr(importlib.import_module(module), name)(argument, ask)
    except FerryError as fault:
        return FAILURE, {"message": fault.message, "hint": fault.hint, "code": fault.code}
    except MemoryError:
        return FAILURE, {"message": "it needs more memory than it may have", "code": "sandbox-memory"}
    except Exception as fault:
        last = traceback.extract_tb(fault.__traceback__)[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        return FAILURE, {"message": f"it failed: {type(fault).__name__} at {where}", "code": "sandbox-crash"}


if __name__ == "__main__":
    main(*sys.argv[1:])
