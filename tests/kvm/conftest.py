"""What the tests against a real libvirtd share."""

from tests.rigs.libvirtd import libvirtd

__all__ = ["libvirtd"]
