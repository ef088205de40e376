"""A spreadsheet of hosts (CSV) to a plan file for a person to finish.

The rows become the same nodes that a plan file becomes, with the cells' places, and go through its checks:
so a bad cell is reported where it stands in the spreadsheet. What is not there is not guessed but marked.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location, Severity
from orchestrator.planfile.columns import COLUMNS, Record, read_records
from orchestrator.planfile.csvcells import read_cells
from orchestrator.planfile.decode import check_tree
from orchestrator.planfile.draft import fill_in, slug, write_new, yaml_text
from orchestrator.planfile.locate import MAX_BYTES, decode_text, read_bytes
from orchestrator.planfile.nodes import Items, Node, Table, Text, problem
from orchestrator.planfile.wording import quoted

__all__ = ["COLUMNS", "import_csv"]

_NO_DAY = date(1970, 1, 1)
"""A draft has neither waivers nor a window for the day to judge."""


def import_csv(
    path: Path,
    out: Path | None = None,
    *,
    name: str | None = None,
    owner: str | None = None,
    force: bool = False,
) -> str:
    """Turn a spreadsheet into the text of a plan file, and write it to `out` where one is given.

    `name` and `owner` are the plan file's; without them the spreadsheet's name, and an owner to fill in.
    Raises InvalidInput with every bad cell, or where `out` exists without `force`; then nothing is written.
    """
    file = str(path)
    text, _ = decode_text(read_bytes(path), file)
    records, problems = read_records(read_cells(text, file))
    draft = _Draft(Location(file, 1, 0), problems)
    for record in records:
        draft.add(record)
    root = draft.root(name or _slug(path.stem), owner)
    _, found = check_tree(root, _NO_DAY)
    problems += [d for d in found if d.severity is Severity.ERROR and d.code != "fill-in"]
    if problems:
        raise InvalidInput(tuple(sorted(problems, key=lambda d: d.location or draft.at)))
    return _finish(root, path, out, force=force)


def _finish(root: Table, path: Path, out: Path | None, *, force: bool) -> str:
    head = f"# Drafted from {_slug(path.name)}. What is left to write is marked <fill in: ...>."
    drafted = f"{head}\n\n{yaml_text(root)}"
    if len(drafted.encode()) > MAX_BYTES:
        summary = f"makes a plan file of more than {MAX_BYTES // 1024} KiB"
        raise InvalidInput((Diagnostic("too-large", summary, "split the spreadsheet", root.at),))
    if out is not None:
        write_new(out, drafted, force=force)
    return drafted


def _slug(text: str) -> str:
    return slug(text, "imported")


@dataclass
class _Draft:
    """The plan file as it grows, row by row."""

    at: Location
    problems: list[Diagnostic]
    endpoints: dict[str, Table] = field(default_factory=dict)
    networks: dict[tuple[str, str], tuple[str, Table]] = field(default_factory=dict)
    hosts: list[Table] = field(default_factory=list)

    def root(self, name: str, owner: str | None) -> Table:
        """Give the whole, in the order in which people read it."""
        root = Table(self.at)
        root.put("ferry", self.at, Text("1", self.at))
        root.put("name", self.at, Text(name, self.at, plain=False))
        root.put(
            "owner",
            self.at,
            Text(owner, self.at, plain=False) if owner else fill_in("who answers for it", root),
        )
        endpoints, networks, hosts = Table(self.at), Table(self.at), Items(self.at)
        for endpoint, spec in self.endpoints.items():
            endpoints.put(Text(endpoint, spec.at), spec.at, spec)
        for key, spec in self.networks.values():
            networks.put(Text(key, spec.at), spec.at, spec)
        hosts.extend(self.hosts)
        root.put("endpoints", self.at, endpoints)
        if networks:
            root.put("networks", self.at, networks)
        root.put("hosts", self.at, hosts)
        return root

    def add(self, record: Record) -> None:
        """Add one row's host, with the endpoint and the networks that it names."""
        host = Table(record.at)
        name, endpoint = record.cells["name"], record.cells["endpoint"]
        source = _table(record, endpoint=endpoint, vm=record.get("vm") or name)
        expect = _table(record, build=record.number("build"), arch=record.get("arch"))
        disposition = record.get("disposition")
        parts: dict[str, Node | None] = {
            "name": name,
            "source": source,
            "expect": expect or None,
            "wave": record.get("wave"),
            "depends_on": record.items("depends_on"),
            "disposition": disposition or record.missing("contain or lift"),
            "snapshot": _table(record, consistency=record.get("snapshot")) or None,
            "contain": self._contain(record, endpoint) if disposition == "contain" else None,
            "lift": self._lift(record) if disposition == "lift" else None,
            "target": self._target(record, endpoint, lift=disposition == "lift"),
            "parity": _table(record, profile=record.get("profile")) or None,
        }
        for key, value in parts.items():
            if value is not None:
                host.put(key, value.at, value)
        self.hosts.append(host)
        self._endpoint(record, endpoint)

    def _endpoint(self, record: Record, name: Text) -> None:
        provider, uri = record.get("provider"), record.get("uri")
        known = self.endpoints.get(name)
        if known is None:
            self.endpoints[name] = _endpoint_table(record, name, provider, uri)
            return
        for key, said in (("provider", provider), (_URI_KEYS.get(known["provider"], ""), uri)):
            if said and (before := known.get(key)) is not None and _host_only(said, key) != before:
                summary = f"endpoint {quoted(name)} has another {key} in line {before.at.line}"
                self.problems.append(
                    problem(said, "contradiction", summary, "write the same in every row, or only once")
                )

    def _contain(self, record: Record, endpoint: Text) -> Table:
        mode, network = record.get("mode"), record.get("network")
        uplink, site_filter = record.get("uplink"), record.get("site_filter")
        if network is None:
            return _table(record, mode=mode or record.missing("unplugged, or write `network: NAME` instead"))
        if mode == "unplugged":
            self.problems.append(
                problem(network, "unplugged", "`unplugged` needs no network", "empty one of the cells")
            )
        if mode == "filtered" and uplink is None and site_filter is None:
            if record.get("provider") == "vsphere":
                site_filter = record.missing("the site's own filter on it, in words")
            else:
                uplink = record.missing("the bridge that allowed flows leave by")
        mode = mode or record.missing("sealed or filtered")
        key = self._network(endpoint, network, mode=mode, uplink=uplink, site_filter=site_filter)
        return _table(record, network=key)

    def _lift(self, record: Record) -> Table:
        return _table(
            record,
            endpoint=record.get("lift_endpoint") or record.missing("the Azure endpoint's name"),
            size=record.get("size") or record.missing("an Azure size, such as Standard_D2s_v3"),
            subnet=record.get("subnet") or record.missing("VNET/SUBNET"),
        )

    def _target(self, record: Record, source: Text, *, lift: bool) -> Table | None:
        if not record.has_target:
            return None
        endpoint = record.get("target_endpoint") or (record.get("lift_endpoint") if lift else source)
        endpoint = endpoint or record.missing("the target's endpoint")
        network, subnet = record.get("target_network"), record.get("target_subnet")
        if network is None and subnet is None:
            network = record.missing("a network of the target's endpoint (on Azure: subnet)")
        elif network is not None:
            network = self._network(endpoint, network)
        password = record.get("admin_password_env") or record.missing(
            "the variable with the administrator's password"
        )
        address = _table(record, ip=record.get("ip"), gateway=record.get("gateway"), dns=record.items("dns"))
        return _table(
            record,
            endpoint=endpoint,
            release=record.number("release") or record.missing("2022 or 2025"),
            image=record.get("image") or record.missing("the golden image"),
            vm=record.get("target_vm") or record.missing("the new machine's name"),
            computer_name=record.get("computer_name"),
            cpus=record.number("cpus"),
            memory=record.get("memory"),
            network=network,
            subnet=subnet,
            admin_password=_table(record, env=password),
            address=address or None,
        )

    def _network(self, endpoint: Text, name: Text, **settings: Text | None) -> Text:
        """Give the key of a network; the first row that names it decides, others may not say otherwise."""
        known = self.networks.get((endpoint, name))
        if known is None:
            taken = {key for key, _ in self.networks.values()}
            key = _slug(name) if _slug(name) not in taken else _slug(f"{name}-{endpoint}")
            spec = Table(name.at)
            for word, value in {"endpoint": endpoint, "name": name, **settings}.items():
                if value is not None:
                    spec.put(word, value.at, value)
            known = self.networks[endpoint, name] = key, spec
        for word, said in settings.items():
            before = known[1].get(word)
            if said is not None and before is not None and said != before:
                summary = f"network {quoted(name)} has another {word} in line {before.at.line}"
                self.problems.append(problem(said, "contradiction", summary, "write the same in every row"))
        return Text(known[0], name.at, plain=False)


_URI_KEYS = {"kvm": "uri", "vsphere": "server", "simulated": "world"}


def _host_only(uri: Text, key: str) -> Text:
    """Of a vCenter's address only the host name is kept."""
    return Text(re.sub(r"^https?://|/.*$", "", uri), uri.at, plain=False) if key == "server" else uri


def _endpoint_table(record: Record, name: Text, provider: Text | None, uri: Text | None) -> Table:
    asked = {
        "kvm": {"uri": "the libvirt URI, such as qemu:///system"},
        "simulated": {"world": "the simulation's file"},
        "vsphere": {"server": "the vCenter's host name"},
        "azure": {"resource_group": "the resource group", "location": "the region"},
    }
    secret = {
        "vsphere": {"username": "VC_USER", "password": "VC_PASSWORD"},
        "azure": {"subscription": "AZ_SUBSCRIPTION"},
    }
    spec = Table(name.at)
    spec.put("provider", name.at, provider or record.missing("kvm, vsphere, azure or simulated"))
    for key, what in asked.get(provider or "", {}).items():
        given = _host_only(uri, key) if uri and key == _URI_KEYS.get(provider or "") else None
        spec.put(key, name.at, given or record.missing(what))
    for key, example in secret.get(provider or "", {}).items():
        spec.put(key, name.at, _table(record, env=record.missing(f"a variable's name, such as {example}")))
    return spec


def _table(record: Record, **values: Node | None) -> Table:
    table = Table(record.at)
    for key, value in values.items():
        if value is not None:
            table.put(key, value.at, value)
    return table
