"""What the sandbox tests run inside the child: attempts at what must not be possible. Imported only there."""

import os
import select
import socket
import stat
import time
from pathlib import Path
from typing import Any

from orchestrator.diagnostics import FerryError
from orchestrator.sandbox.channel import ASK, send


def echo(argument: Any, ask: Any) -> Any:
    return argument


def asks(argument: Any, ask: Any) -> list[str]:
    return [ask(word.encode()).decode() for word in argument]


def reads(argument: Any, ask: Any) -> dict[str, str]:
    found = {}
    for path in argument:
        try:
            found[path] = Path(path).read_text()[:20]
        except OSError as fault:
            found[path] = type(fault).__name__
    return found


def writes(argument: Any, ask: Any) -> str:
    try:
        Path(argument).write_text("x" * 10)
    except OSError as fault:
        return type(fault).__name__
    return "written"


def connects(argument: Any, ask: Any) -> str:
    try:
        socket.create_connection(("127.0.0.1", argument), timeout=2).close()
    except OSError as fault:
        return type(fault).__name__
    return "connected"


def interfaces(argument: Any, ask: Any) -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def environment(argument: Any, ask: Any) -> dict[str, str]:
    return dict(os.environ)


def processes(argument: Any, ask: Any) -> bool:
    return Path("/proc").exists() or os.getpid() > 9


def memory(argument: Any, ask: Any) -> int:
    return len(bytearray(argument))


def spins(argument: Any, ask: Any) -> None:
    while True:
        pass


def sleeps(argument: Any, ask: Any) -> None:
    time.sleep(600)


def floods(argument: Any, ask: Any) -> str:
    return "x" * argument


def big_question(argument: Any, ask: Any) -> None:
    ask(bytes(argument))


def dies(argument: Any, ask: Any) -> None:
    os.abort()


def asks_and_exits(argument: Any, ask: Any) -> None:
    """Ends with the answer sent but unread."""
    channel = next(fd for fd in range(3, 64) if _is_socket(fd))
    send(socket.socket(fileno=os.dup(channel)), ASK, b"x")
    select.select([channel], [], [])
    os._exit(3)


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def complains_and_exits(argument: Any, ask: Any) -> None:
    os.write(2, argument.encode())
    os._exit(3)


def raises(argument: Any, ask: Any) -> None:
    message = "guest text \x1b[31m"
    raise ValueError(message)


def fails(argument: Any, ask: Any) -> None:
    message = "the hive is damaged\x1b[31m"
    raise FerryError(message, hint="take another", code="damaged")
