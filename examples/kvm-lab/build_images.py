"""Builds the lab's disk images: python examples/kvm-lab/build_images.py --out DIR [NAME ...]

Importable too: build(name, out) and names(). The work is in lab/, the content in images/.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lab.images import build, image_path, is_current, names
from lab.programs import LabError

__all__ = ["LabError", "build", "image_path", "is_current", "main", "names"]


def main(arguments: list[str] | None = None) -> int:
    """Build what the command line names, or all; return 0 done, 1 could not build (2: wrong arguments)."""
    parser = argparse.ArgumentParser(
        description="Builds the lab's disk images from Debian parts, without root."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the images")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())} (default: all)"
    )
    options = parser.parse_args(arguments)
    try:
        for name in options.names or names():
            sys.stdout.write(_build_one(name, options.out) + "\n")
            sys.stdout.flush()
    except (LabError, OSError) as problem:
        sys.stderr.write(f"build_images: {problem}\n")
        return 1
    return 0


def _build_one(name: str, out: Path) -> str:
    if is_current(name, out):
        return f"{name}: unchanged, {image_path(name, out)}"
    start = time.monotonic()
    image = build(name, out)
    size = image.stat().st_blocks * 512 / 1024 / 1024
    return f"{name}: built in {time.monotonic() - start:.1f} s, {size:.1f} MiB on disk, {image}"


if __name__ == "__main__":
    sys.exit(main())
