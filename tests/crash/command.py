"""The real `ferry` command, which ends itself at a chosen point.

Arguments: the options of `points`, then ferry's words. Its state is an SQLite file named by FERRY_STATE.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys

from orchestrator.app import runs
from orchestrator.cli.main import main as ferry
from orchestrator.engine.runtime import Runtime
from tests.crash import points as crash_points


def main(arguments: list[str]) -> int:
    """Run ferry with its words; return the exit code."""
    parser = argparse.ArgumentParser()
    crash_points.add_options(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    _, changes = crash_points.watch(options, os.environ["FERRY_STATE"].removeprefix("sqlite:///"))
    runs.Runtime = functools.partial(Runtime, **changes)  # type: ignore[misc]
    sys.argv[1:] = options.words
    try:
        ferry()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
