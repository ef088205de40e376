"""How a lab's story is told: each command is printed, then run as a person would run it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lab.programs import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

GATE = 4
"""The exit code of a comparison that is not passed yet: an answer, no failure."""
_SECONDS = 1800


class Teller:
    """Runs `ferry` and other programs in sight. `own` is what their environment has beside ours."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._environment = os.environ | dict(own)

    def ferry(self, *words: object, gate: bool = False) -> None:
        """Run one ferry command in sight. Raises LabError when it fails; of a `gate`, GATE is an answer."""
        command = ["ferry", *map(str, words)]
        say(f"\n$ {shlex.join(command)}")
        done = subprocess.run(command, check=False, env=self._environment, timeout=_SECONDS)
        if gate and done.returncode == GATE:
            say(f"(exit code {GATE}: the gate is not passed yet; people have to build the application up)")
        elif done.returncode != 0:
            message = f"`{shlex.join(command)}` ended with {done.returncode}"
            raise LabError(message)

    def ferry_json(self, *words: str) -> Any:
        """Run one ferry command unseen and return its JSON document."""
        command = ["ferry", *words, "--json"]
        done = subprocess.run(
            command, check=True, env=self._environment, timeout=_SECONDS, stdout=subprocess.PIPE
        )
        return json.loads(done.stdout)

    def show(self, *commands: list[str]) -> None:
        """Show the world as another program sees it."""
        say("")
        for command in commands:
            say(f"$ {shlex.join(command)}")
            subprocess.run(command, check=False, env=self._environment, timeout=_SECONDS)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
