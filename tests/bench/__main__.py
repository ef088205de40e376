"""`python tests/bench [NAME...] [--smallest]`: runs benches, each in a process of its own.

Stdout holds one JSON document for each. A process each, because the engine lives once in a process
and because peak memory is a process's.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def names() -> list[str]:
    """Return the names of all benches, as `make bench NAME=` takes them."""
    return sorted(p.stem.removeprefix("bench_").replace("_", "-") for p in HERE.glob("bench_*.py"))


def run(name: str, options: list[str]) -> int:
    """Run one bench; return its exit code."""
    paths = [str(ROOT), str(ROOT / "examples" / "kvm-lab"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    module = f"tests.bench.bench_{name.replace('-', '_')}"
    return subprocess.run(
        [sys.executable, "-m", module, *options], cwd=ROOT, env=environment, check=False
    ).returncode


def main() -> int:
    """Run the benches that were named, or all; 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Prints one JSON document for each bench."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}; default all")
    parser.add_argument("--smallest", action="store_true", help="one tiny case, measured once: for tests")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(names())):
        parser.error(f"there is no bench {', '.join(unknown)}; there are: {', '.join(names())}")
    for package in ("orchestrator", "providers"):
        # As an installed program is. Where Python is told to write no byte code, each command that is
        # measured would compile all of it anew.
        compileall.compile_dir(ROOT / package, quiet=2)
    extra = ["--smallest"] if options.smallest else []
    codes = [run(name, extra) for name in options.names or names()]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
