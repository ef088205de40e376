"""Runs programs as forks of one process that has imported everything: a crash test starts hundreds, and
imports cost a second each.

One JSON object per line: in {"id", "program", "arguments", "environment", "folder", "out", "err"}, out {"id",
"pid"} at the start and {"id", "code"} at the end (negative: the signal). It stays single-threaded, so that a
fork is a clean process.
"""

from __future__ import annotations

import json
import os
import selectors
import sys
import traceback
from typing import Any

import dbos._migration
import dbos._sys_db_sqlite

import providers.kvm
import providers.vsphere.adapter
from orchestrator.app import planning
from orchestrator.engine import actions, workflows
from tests.crash import command, driver

assert dbos
assert actions
assert planning
assert providers.kvm
assert providers.vsphere.adapter
assert workflows

PROGRAMS = {"driver": driver.main, "ferry": command.main}


def main() -> int:
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ, None)
    children: dict[int, int] = {}
    while True:
        for key, _ in waiting.select():
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return 0
                request = json.loads(line)
                pid = begin(request)
                handle = os.pidfd_open(pid)
                children[handle] = pid
                waiting.register(handle, selectors.EVENT_READ, request["id"])
                say({"id": request["id"], "pid": pid})
            else:
                handle = int(key.fileobj)  # type: ignore[arg-type]
                waiting.unregister(handle)
                pid, status = os.waitpid(children.pop(handle), 0)
                os.close(handle)
                say({"id": key.data, "ended": pid, "code": os.waitstatus_to_exitcode(status)})


def begin(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    for handle, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    code = 1
    try:
        code = PROGRAMS[request["program"]](request["arguments"])
    except BaseException:  # the fork must never return into the loop above
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
