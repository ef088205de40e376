"""Starts the processes that crash tests end, and waits for them."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Driver:
    """One process: a driver, or a ferry."""

    pid: int
    out: Path
    err: Path
    ended: queue.Queue[int]
    code: int | None = None

    def wait(self, seconds: float = 100.0) -> int:
        """Return the exit code; negative: the signal that ended it."""
        if self.code is None:
            self.code = self.ended.get(timeout=seconds)
        return self.code

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out.read_text() + self.err.read_text()

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that a ferry with --json printed."""
        return dict(json.loads(self.out.read_text()))

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON lines that a driver printed."""
        return [json.loads(line) for line in self.out.read_text().splitlines() if line.startswith("{")]

    @property
    def run(self) -> str:
        return str(self.answers[0]["run"])

    @property
    def last(self) -> dict[str, Any]:
        return self.answers[-1]


class Drivers:
    """The process that all others are forked from. Close it when done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._guard = threading.Lock()
        self._started: dict[int, queue.Queue[int]] = {}
        self._pids: set[int] = set()
        self._ended: dict[int, queue.Queue[int]] = {}
        environment = {k: v for k, v in os.environ.items() if k != "FERRY_STATE"}
        command = [sys.executable, "-m", "tests.crash.zygote"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def start(
        self,
        *arguments: object,
        program: str = "driver",
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ) -> Driver:
        """Start a program of the zygote's in a folder; `environment` is added to this process's own."""
        number = next(self._numbers)
        out, err = (self._folder / f"driver-{number}.{kind}" for kind in ("out", "err"))
        started, ended = (
            self._started.setdefault(number, queue.Queue()),
            self._ended.setdefault(number, queue.Queue()),
        )
        request = {
            "id": number,
            "program": program,
            "arguments": [str(a) for a in arguments],
            "environment": dict(environment or {}),
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin is not None
        with self._guard:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        driver = Driver(started.get(timeout=30), out, err, ended)
        self._pids.add(driver.pid)
        return driver

    def call(self, *arguments: object) -> Driver:
        """Run a driver to its end, a good one or its own SIGKILL."""
        driver = self.start(*arguments)
        assert driver.wait() in (0, -signal.SIGKILL), driver.text
        return driver

    def ferry(self, environment: Mapping[str, str], *words: object) -> Driver:
        """Run ferry to its end, whatever it is. The words may begin with the options of `points`."""
        driver = self.start(*words, program="ferry", environment=environment)
        driver.wait()
        return driver

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for pid in self._pids:  # of those that a failed test has left; the others are gone from the set
            os.kill(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if "pid" in answer:
                self._started[answer["id"]].put(answer["pid"])
            else:
                self._pids.discard(answer["ended"])
                self._ended[answer["id"]].put(answer["code"])


def wake(driver: Driver) -> None:
    """Let a stopped driver go on."""
    os.kill(driver.pid, signal.SIGCONT)
