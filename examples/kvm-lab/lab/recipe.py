"""Reads what a server is made of: its folder under images/servers on top of layers under images/layers.

A layer is a folder with, all optional: HIVE.reg or HIVE.anything.reg (HIVE is one of PREFIXES), one folder
per partition (files in UTF-8 text), and layer.toml. A server is a layer whose server.toml says the rest.
Nothing is built here.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import disklayout, regfile
from lab.accounts import Accounts, Group, User
from lab.programs import LabError
from lab.tree import Tree, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

IMAGES = Path(__file__).resolve().parent.parent / "images"
PREFIXES = {
    "SYSTEM": r"HKEY_LOCAL_MACHINE\SYSTEM",
    "SOFTWARE": r"HKEY_LOCAL_MACHINE\SOFTWARE",
    "SAM": r"HKEY_LOCAL_MACHINE\SAM",
    "SECURITY": r"HKEY_LOCAL_MACHINE\SECURITY",
    "DEFAULT": r"HKEY_USERS\.DEFAULT",
}
_ANY_LAYER = {"folders", "programs", "accounts"}
_SERVER = _ANY_LAYER | {"about", "written", "layers", "arch", "disk"}
_BASED_ON = _ANY_LAYER | {"about", "written", "based_on"}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an image's content."""

    name: str
    about: str
    arch: str  # "x64" or "x86"
    written: datetime  # the time on every file and hive
    disk: disklayout.Disk
    layers: tuple[Path, ...]  # folders, the server's own last
    accounts: Accounts

    def hives(self) -> dict[str, regfile.Key]:
        """The registry by hive name, all layers merged."""
        roots = {hive: regfile.Key("") for hive in PREFIXES}
        for layer in self.layers:
            for file in sorted(layer.glob("*.reg")):
                hive = file.name.partition(".")[0]
                if hive not in PREFIXES:
                    msg = f"{file}: the name must begin with one of {', '.join(PREFIXES)} and a point"
                    raise LabError(msg)
                regfile.merge(file, PREFIXES[hive], roots[hive])
        return roots

    def trees(self) -> dict[str, Tree]:
        """The files by partition name, all layers merged."""
        trees = {part.name: Tree() for part in self.disk.partitions if part.kind == "ntfs"}
        for layer in self.layers:
            for folder in sorted(path for path in layer.iterdir() if path.is_dir()):
                _tree(trees, folder.name, layer).add_text_files(folder)
            settings = _read(layer)
            for path in settings.get("folders", []):
                name, _, below = path.partition("/")
                _tree(trees, name, layer).add_folder(below)
            for path in settings.get("programs", []):
                name, _, below = path.partition("/")
                _tree(trees, name, layer).add(below, program(below, self.arch))
        return trees

    def digest(self, code: list[Path]) -> str:
        """SHA-256 over every file that has a say: the layers', and the builder's own code."""
        total = hashlib.sha256()
        for layer in self.layers:
            for file in sorted(path for path in layer.rglob("*") if path.is_file()):
                _add(total, file.relative_to(IMAGES).as_posix(), file.read_bytes())
        for file in sorted(code):
            _add(total, file.name, file.read_bytes())
        return total.hexdigest()


def names() -> list[str]:
    """The servers there are recipes for."""
    return sorted(path.parent.name for path in IMAGES.glob("servers/*/server.toml"))


def load(name: str) -> Recipe:
    """The recipe of one server; LabError if there is none or its settings cannot be read."""
    if name not in names():
        msg = f"no lab image is called {name!r}; there are: {', '.join(names())}"
        raise LabError(msg)
    folder = IMAGES / "servers" / name
    settings = _read(folder)
    try:
        if "based_on" in settings:
            # A server that another one became: the same disk and architecture, its own layer on top.
            base = load(settings["based_on"])
            below, disk, arch = list(base.layers), base.disk, base.arch
        else:
            below = [IMAGES / "layers" / layer for layer in settings["layers"]]
            disk, arch = _disk(name, settings["disk"]), settings["arch"]
        layers = [*below, folder]
        about, written = settings["about"], settings["written"]
        return Recipe(name, about, arch, written, disk, tuple(layers), _accounts(layers))
    except (KeyError, TypeError, ValueError) as problem:
        msg = f"{folder / 'server.toml'}: {_words(problem)}"
        raise LabError(msg) from problem


def _words(problem: Exception) -> str:
    return f"the setting {problem} is missing" if isinstance(problem, KeyError) else str(problem)


def _read(layer: Path) -> dict[str, Any]:
    """The settings of a layer or server; none is fine for a layer."""
    if not layer.is_dir():
        msg = f"there is no layer {layer.name}: {layer} is not a folder"
        raise LabError(msg)
    file = next((layer / name for name in ("server.toml", "layer.toml") if (layer / name).is_file()), None)
    if file is None:
        return {}
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as problem:
        msg = f"{file}: {problem}"
        raise LabError(msg) from problem
    known = _ANY_LAYER
    if file.name == "server.toml":
        known = _BASED_ON if "based_on" in settings else _SERVER
    if unknown := sorted(set(settings) - known):
        msg = f"{file}: unknown settings {', '.join(unknown)}; known here: {', '.join(sorted(known))}"
        raise LabError(msg)
    return settings


def _disk(name: str, settings: dict[str, Any]) -> disklayout.Disk:
    partitions = tuple(disklayout.Partition(**partition) for partition in settings["partitions"])
    disk = disklayout.Disk(
        name, settings["table"], settings["format"], settings.get("signature", 0), partitions
    )
    disk.check()
    return disk


def _accounts(layers: list[Path]) -> Accounts:
    machine, users, groups = "", {}, {}
    for layer in layers:
        settings = _read(layer).get("accounts", {})
        machine = settings.get("machine", machine)
        for user in _tuples(settings.get("users", [])):
            users[user["rid"]] = User(**user)
        for group in _tuples(settings.get("groups", [])):
            groups[group["rid"]] = Group(**group)
    if not machine:
        msg = "accounts.machine is missing: the machine's identifier, S-1-5-21-a-b-c"
        raise ValueError(msg)
    return Accounts(machine, tuple(users.values()), tuple(groups.values()))


def _tuples(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def _tree(trees: dict[str, Tree], partition: str, layer: Path) -> Tree:
    if partition not in trees:
        msg = f"{layer}: {partition!r} is not a partition of this server; it has {', '.join(trees)}"
        raise LabError(msg)
    return trees[partition]


def _add(total: hashlib._Hash, name: str, content: bytes) -> None:
    total.update(f"{name}\0{len(content)}\0".encode())
    total.update(content)
