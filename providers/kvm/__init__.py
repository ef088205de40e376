"""KVM through libvirt. This module must stay importable without libvirt-python: the SDK is an extra."""
