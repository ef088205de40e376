"""The real `ferry` command, which ends itself with SIGKILL at a chosen point (counted as in `driver`).

Called as `python -m tests.crash.command POINT COUNTS WORDS...`: POINT 0 only counts. COUNTS is the file that
the points are written to, one a line, each before it is passed.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from orchestrator.app import runs
from orchestrator.cli.main import main
from orchestrator.engine.runtime import Runtime
from tests.crash.driver import Points, watch_steps
from tests.engine.kit import CountingEffect


class Written(Points):
    """Points that are written down, too."""

    def __init__(self, kill_at: int, counts: Path) -> None:
        super().__init__(kill_at, 0, Path(os.devnull), None)
        self._counts = counts

    def reach(self, moment: str, what: str) -> None:
        with self._counts.open("a") as stream:
            stream.write(f"{moment} {what}\n")
        super().reach(moment, what)


if __name__ == "__main__":
    points = Written(int(sys.argv[1]), Path(sys.argv[2]))
    watch_steps(points)
    wrap = functools.partial(CountingEffect, hook=points.reach)
    runs.Runtime = functools.partial(Runtime, wrap_effect=wrap)  # type: ignore[misc]
    sys.argv[1:] = sys.argv[3:]
    main()
