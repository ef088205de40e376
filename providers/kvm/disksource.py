"""Bytes of a machine's disks at a snapshot: the frozen bases under the snapshot's overlays, read through
`orchestrator.disks`.

It never opens an image that is written: only what lies below an overlay of a snapshot of ours.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from orchestrator.contract.provider import FrozenDisk, unsupported
from orchestrator.disks import open_image
from orchestrator.model.machine import MachineRef
from providers.kvm.chain import Layer
from providers.kvm.faults import not_found, permanent
from providers.kvm.images import Images
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link
from providers.kvm.snapshots import KvmSnapshots


class KvmDiskSource:
    """The DiskSource role; only where libvirtd is on this machine."""

    def __init__(self, link: Link, inventory: KvmInventory, snapshots: KvmSnapshots, images: Images) -> None:
        self._link = link
        self._inventory = inventory
        self._snapshots = snapshots
        self._images = images

    @contextmanager
    def open_frozen(self, ref: MachineRef, token: str) -> Iterator[tuple[FrozenDisk, ...]]:
        """See the contract. Images may lie beside the disk's own, in the endpoint's `images` folder, or in a
        storage pool."""
        if not self._link.local:
            what = "reading disks of a machine on another host"
            raise unsupported(what, "run ferry on the machine that libvirtd runs on")
        bases = self._bases(ref, token)
        pools = self._images.folders()
        with ExitStack() as stack:
            yield tuple(stack.enter_context(_open(key, source, base, pools)) for key, source, base in bases)

    def _bases(self, ref: MachineRef, token: str) -> list[tuple[str, str, Layer]]:
        """Return (disk key, image written now, frozen base) for each disk of the snapshot."""
        found = self._snapshots.bearing(ref, token)
        if found is None:
            what = f"the snapshot of {ref.name} that this step made"
            raise not_found(what)
        chains = self._inventory.chains(self._link.domain(ref))
        return [
            (key, chains[key][0].path, _under(key, overlay, chains[key]))
            for key, overlay in found.overlays.items()
            if key in chains
        ]


def _under(key: str, overlay: str, chain: tuple[Layer, ...]) -> Layer:
    for above, layer in pairwise(chain):
        if above.path == overlay:
            return layer
    message = f"nothing is seen below the overlay {overlay} of disk {key}"
    raise permanent(
        message, "the chain was changed behind libvirt's back; compare qemu-img info --backing-chain"
    )


def _open(key: str, source: str, base: Layer, pools: tuple[Path, ...]) -> AbstractContextManager[FrozenDisk]:
    allowed = [Path(source).parent, *pools]
    return open_image(Path(base.path), base.format, allowed=allowed, key=key)
