"""Is the world still as observed? Pure comparison of material fields (architecture, section 6, rule 3)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from orchestrator.changeset.changes import HostChange
from orchestrator.model.base import Value, is_material
from orchestrator.model.machine import Machine, Snapshot
from orchestrator.model.network import Network
from orchestrator.model.target import GoldenImage

Ours = Callable[[str], bool]
"""Tells whether a token stands in our ledger."""


def material_differences(
    observed: HostChange,
    now: Machine,
    networks: Sequence[Network],
    image: GoldenImage | None,
    ours: Ours,
    *,
    ignore: Collection[str] = (),
) -> tuple[str, ...]:
    """Say in words every material difference between what preview saw and what is there now.

    `networks` are the endpoint networks of the names that the host uses, `image` the golden image as it is
    now;
    `ignore` names machine fields that this very run has changed already ("nics" after isolation began).
    """
    name = observed.source.ref.name
    found = _differences(name, observed.source, now, frozenset(ignore))
    found += _snapshots(name, observed.source.snapshots, now.snapshots, ours)
    found += _networks(observed.networks, networks, ours)
    found += _image(observed.image, image)
    return tuple(found)


def _differences(where: str, old: Any, new: Any, ignore: frozenset[str] = frozenset()) -> list[str]:
    """Walk two values of one type along their material fields."""
    if isinstance(old, Value) and type(old) is type(new):
        found: list[str] = []
        for field, info in type(old).model_fields.items():
            if is_material(info.metadata) and field not in ignore:
                found += _differences(f"{where}: {field}", getattr(old, field), getattr(new, field))
        return found
    if isinstance(old, tuple) and isinstance(new, tuple) and _keyed(old) and _keyed(new):
        return _by_key(where, old, new)
    return [] if old == new else [f"{where} was {_words(old)}, is {_words(new)}"]


def _keyed(values: tuple[Any, ...]) -> bool:
    return all(hasattr(value, "key") for value in values)


def _by_key(where: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> list[str]:
    before, after = {value.key: value for value in old}, {value.key: value for value in new}
    found = [f"{where}: {key} is gone" for key in before if key not in after]
    found += [f"{where}: {key} is new" for key in after if key not in before]
    for key, value in before.items():
        if key in after:
            found += _differences(f"{where} {key}", value, after[key])
    return found


def _snapshots(name: str, old: Sequence[Snapshot], new: Sequence[Snapshot], ours: Ours) -> list[str]:
    """Foreign snapshots are material; those that bear a token of our ledger are not."""
    before, after = {s.id for s in old}, {s.id for s in new}

    def foreign(snapshot: Snapshot) -> bool:
        return snapshot.token is None or not ours(snapshot.token)

    found = [f"{name}: snapshot {s.name!r} is gone" for s in old if s.id not in after and foreign(s)]
    return found + [f"{name}: snapshot {s.name!r} is new" for s in new if s.id not in before and foreign(s)]


def _networks(old: Sequence[Network], new: Sequence[Network], ours: Ours) -> list[str]:
    before, after = {n.name: n for n in old}, {n.name: n for n in new}
    found = [f"network {name!r} is gone" for name in before if name not in after]
    for name, network in after.items():
        if name in before:
            found += _differences(f"network {name!r}", before[name], network)
        elif network.token is None or not ours(network.token):
            found.append(f"network {name!r} did not exist, is there now and is not ours")
    return found


def _image(old: GoldenImage | None, new: GoldenImage | None) -> list[str]:
    if old is None:
        return []
    if new is None:
        return [f"golden image {old.name!r} is gone"]
    return _differences(f"golden image {old.name!r}", old, new)


def _words(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return ", ".join(_words(item) for item in value) or "nothing"
    return str(value)
