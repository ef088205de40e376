"""What every bench shares: interleaved measurements, their medians, the one JSON document.

A bench is a module `bench_NAME.py` with `run(smallest: bool) -> dict` that returns `document(...)`,
and `if __name__ == "__main__": main(run)`. It must judge nothing: a ratio that a shared machine
spoilt is no failure, so required ratios stand in README.md, and only the document's shape is tested.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3

Measure = Callable[[], float]
"""One measurement: does its own set-up and tear-down, returns only the seconds (or MiB) that count."""


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def interleaved(*measures: Measure, rounds: int = ROUNDS) -> tuple[float, ...]:
    """Measure in turn, `rounds` times, and return the median of each.

    What disturbs the machine meanwhile hits all alike. Every other round goes backwards, so that
    nobody always comes second.
    """
    found: list[list[float]] = [[] for _ in measures]
    for number in range(rounds):
        order = list(zip(measures, found, strict=True))
        for measure, results in order if number % 2 == 0 else reversed(order):
            results.append(measure())
            say(f"  round {number + 1}: {getattr(measure, '__name__', 'measured')} {results[-1]:.3f}")
    return tuple(statistics.median(results) for results in found)


def growth_mib(call: Callable[..., object], *args: object) -> float:
    """Return by how many MiB `call(*args)` makes a fresh process grow at its peak, imports not counted.

    `call` is a function of a module, for it is found again by name; it returns the callable that counts.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_growth, call, *args).result()


def _growth(call: Callable[..., Callable[[], object]], *args: object) -> float:
    measured = call(*args)
    # ru_maxrss would not do: it survives exec, and so may be the parent's.
    Path("/proc/self/clear_refs").write_text("5")
    before = _kib("VmRSS")
    kept = measured()
    after = _kib("VmHWM")
    del kept
    return (after - before) / 1024


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def row(
    case: str, ours: float, peer: float | None = None, peer_name: str = "none", unit: str = "s"
) -> dict[str, Any]:
    """Return one row; `ratio` is ours / peer, None where there is no peer (growth only)."""
    ratio = None if not peer else round(ours / peer, 3)
    return {
        "case": case,
        "ours": round(ours, 4),
        "peer": None if peer is None else round(peer, 4),
        "peer_name": peer_name,
        "ratio": ratio,
        "unit": unit,
    }


def document(
    bench: str, rows: Sequence[dict[str, Any]], *, packages: Iterable[str] = (), **versions: str
) -> dict[str, Any]:
    """Return the document of a bench. `packages`: distributions whose versions matter; `versions`: others."""
    known = {"python": platform.python_version(), "ferry6003": metadata.version("ferry6003")}
    known |= {name: metadata.version(name) for name in packages}
    return {"bench": bench, "machine": machine(), "versions": known | versions, "rows": list(rows)}


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine to judge the figures; no name, no path."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    return {
        "cpus": os.cpu_count(),
        "memory_mib": memory,
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def say(text: str) -> None:
    """Tell a person how far it is: stdout is for the document alone."""
    print(text, file=sys.stderr, flush=True)


def main(run: Callable[[bool], dict[str, Any]]) -> None:
    """Run a bench as a program and print its document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smallest", action="store_true", help="one tiny case, measured once: for tests")
    print(json.dumps(run(parser.parse_args().smallest)), flush=True)
