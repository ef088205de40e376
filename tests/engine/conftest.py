"""One engine for each module (launching costs seconds), one world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.engine.runtime import Engine
from tests.engine.kit import Site, engine_on


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("state")
    with engine_on(f"sqlite:///{folder}/state.db", sleep=lambda _: None) as launched:
        yield launched


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
