"""The test suite's private libvirtd: one per session, shared by every module that asks for the fixture
`libvirtd`.

A conftest.py makes it available by `from tests.rigs.libvirtd import libvirtd`. The implementation is the
lab's, so that demo and tests
stand on the same daemon.
"""

from __future__ import annotations

import pytest
from lab.private_libvirtd import PrivateLibvirtd, domain_type, halting_disk, missing

__all__ = ["PrivateLibvirtd", "domain_type", "halting_disk", "libvirtd", "missing"]

_KEY: pytest.StashKey[PrivateLibvirtd] = pytest.StashKey()


@pytest.fixture(scope="session")
def libvirtd(request: pytest.FixtureRequest) -> PrivateLibvirtd:
    """A running private libvirtd. Kept with the session, not with the fixture: several conftest files may
    import it."""
    if lacking := missing():
        pytest.skip(f"a private libvirtd needs: {', '.join(lacking)}")
    config = request.config
    if _KEY not in config.stash:
        daemon = PrivateLibvirtd()
        config.add_cleanup(daemon.remove)
        config.stash[_KEY] = daemon.start()
    return config.stash[_KEY]
