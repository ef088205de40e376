"""Many rounds of killing and resuming, a few at a time; each round gets a world of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor


def problems(
    points: Sequence[str], numbers: Iterable[int], one: Callable[[int], str], at_once: int
) -> list[str]:
    """Try the points of these numbers, counted from 1; `one` returns what went wrong there, or ""."""
    chosen = list(numbers)
    assert chosen, "there is nothing to try"
    with ThreadPoolExecutor(at_once) as pool:
        told = pool.map(one, chosen)
        return [f"{n} ({points[n - 1]}): {text}" for n, text in zip(chosen, told, strict=True) if text]
