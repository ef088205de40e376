"""One process that all drivers of a module are forked from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.drivers import Drivers
from tests.rigs import postgres
from tests.rigs.libvirtd import libvirtd

__all__ = ["drivers", "libvirtd", "server"]


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    opened = Drivers(tmp_path_factory.mktemp("drivers"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as started:
        yield started
