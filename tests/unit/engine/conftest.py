"""A state of its own for each test, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.engine.state import State, open_state
from tests.unit.builders import NOW


@dataclass
class FakeClock:
    """Wall time and a stopwatch that move together, only when told."""

    at: datetime = NOW
    elapsed: float = 0.0

    def __call__(self) -> datetime:
        return self.at

    def stopwatch(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.elapsed += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(tmp_path: Path, clock: FakeClock) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/state.db", clock)
    yield opened
    opened.close()
