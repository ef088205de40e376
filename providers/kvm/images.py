"""Golden images: where a name leads, and what the image is. Reads only.

A local image is looked at through `orchestrator.disks`, under guard; one on another machine only through its
storage volume.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.disks import Scheme, image_info, open_image, partition_table
from orchestrator.model.machine import Firmware
from orchestrator.model.target import GoldenImage
from providers.kvm.cards import parse
from providers.kvm.link import Link

_SUFFIXES = ("", ".qcow2", ".img", ".raw")
FORMATS = ("qcow2", "raw")
"""What a target can be staged from."""


class Images:
    """Finds golden images: by absolute path, in the `images` folder of the endpoint, in libvirt's active
    storage pools."""

    def __init__(self, link: Link, folder: Path | None) -> None:
        self._link = link
        self._folder = folder

    def find(self, names: Sequence[str]) -> tuple[GoldenImage, ...]:
        """Return the images that are there, in the order of `names`. Raises ProviderError for one that may
        not be opened."""
        found = []
        for name in names:
            path = self._local(name) if self._link.local else None
            image = self._image(name, path) if path is not None else self._volume(name)
            if image is not None:
                found.append(image)
        return tuple(found)

    def folders(self) -> tuple[Path, ...]:
        """Return the folders that hold images by the administrator's word: the endpoint's, and those of the
        active pools."""
        pools = [] if self._folder is None else [self._folder]
        for pool in self._pools():
            path = parse(self._link.read("read a storage pool", pool.XMLDesc)).findtext("target/path")
            pools += [Path(path)] if path else []
        return tuple(pools)

    def _local(self, name: str) -> Path | None:
        if name.startswith("/"):
            candidates: Iterator[Path] = iter([Path(name)])
        elif self._folder is None or "/" in name or not name.strip("."):
            return None
        else:
            folder = self._folder
            candidates = (folder / (name + suffix) for suffix in _SUFFIXES)
        return next((path for path in candidates if path.is_file()), None)

    def _image(self, name: str, path: Path) -> GoldenImage:
        info = image_info(path, [path.parent])
        if info.format not in FORMATS or len(info.layers) > 1:
            message = f"golden image {path} is {info.format} with {len(info.layers) - 1} images below it"
            hint = f"make one file of it: qemu-img convert -O qcow2 {path} NEW.qcow2"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint=hint)
        return GoldenImage(
            name=name,
            id=str(path),
            size_bytes=info.virtual_size,
            format=info.format,
            firmware=_firmware(path, info.format),
        )

    def _volume(self, name: str) -> GoldenImage | None:
        """Look into the pools: a local volume is a file like any other, a remote one is what its pool
        says."""
        for pool in self._pools():
            for candidate in (name + suffix for suffix in _SUFFIXES):
                volume = self._link.find("look up a volume", pool.storageVolLookupByName, candidate)
                if volume is None:
                    continue
                path, text = self._link.read("read a volume", lambda v=volume: (v.path(), v.XMLDesc()))
                return self._image(name, Path(path)) if self._link.local else _remote(name, path, text)
        return None

    def _pools(self) -> list[Any]:
        """Return the active storage pools; none where libvirt was installed without its storage driver."""
        active = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        what = "list the storage pools"
        try:
            return list(self._link.read(what, lambda: self._link.conn().listAllStoragePools(active)))
        except ProviderError as error:
            if error.kind is ErrorKind.UNSUPPORTED:
                return []
            raise


def _remote(name: str, path: str, text: str) -> GoldenImage:
    root = parse(text)
    kind = root.find("target/format")
    form = "raw" if kind is None else kind.get("type", "raw")
    return GoldenImage(name=name, id=path, size_bytes=int(root.findtext("capacity", "0")), format=form)


def _firmware(path: Path, form: str) -> Firmware | None:
    """Tell from the partition table: an EFI system partition boots by UEFI, a plain MBR by BIOS, all else
    nobody knows."""
    with open_image(path, form, allowed=[path.parent], connections=1) as disk:
        table = partition_table(disk)
    if table.has_esp:
        return Firmware.UEFI
    return Firmware.BIOS if table.scheme is Scheme.MBR else None
