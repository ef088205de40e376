"""Where a target goes: by name, by path, or because only one place is possible."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.target import Placement
from providers.vsphere.batch import Seen
from providers.vsphere.placement import Ground, names


class Site:
    """Puts together what vCenter would tell."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.root = self.add(vim.Folder, "root", None, "Datacenters")

    def add(self, kind: Any, moid: str, parent: Any, name: str, **props: Any) -> Any:
        obj = kind(moid, None)
        extra = {key.replace("__", "."): value for key, value in props.items()}
        found = {"name": name, "parent": parent, **extra}
        self.seen[moid] = Seen(obj, {key: value for key, value in found.items() if value is not None})
        return obj

    def datacenter(self, name: str) -> None:
        vms, hosts, stores = (vim.Folder(f"{name}-{kind}", None) for kind in ("vm", "host", "datastore"))
        center = self.add(vim.Datacenter, name, self.root, name, vmFolder=vms)
        for folder, word in ((vms, "vm"), (hosts, "host"), (stores, "datastore")):
            self.add(vim.Folder, folder._moId, center, word)

    def cluster(self, center: str, name: str, hosts: list[str], stores: list[str], **props: Any) -> None:
        found = [vim.Datastore(one, None) for one in stores]
        for store in stores:
            if store not in self.seen:
                folder = self.seen[f"{center}-datastore"].obj
                self.add(vim.Datastore, store, folder, store, summary__accessible=True)
        members = [vim.HostSystem(one, None) for one in hosts]
        pool = vim.ResourcePool(f"{name}-pool", None)
        cluster = self.add(
            vim.ClusterComputeResource, name, self.seen[f"{center}-host"].obj, name,
            resourcePool=pool, datastore=found, host=members,
        )  # fmt: skip
        self.add(vim.ResourcePool, pool._moId, cluster, "Resources", owner=cluster)
        for host in hosts:
            self.add(
                vim.HostSystem, host, cluster, host,
                datastore=found, network=[vim.Network("net-1", None)], **props,
            )  # fmt: skip

    def folder(self, moid: str, parent: str, name: str) -> None:
        self.add(vim.Folder, moid, self.seen[parent].obj, name)

    def pool(self, moid: str, parent: str, name: str, cluster: str) -> None:
        self.add(vim.ResourcePool, moid, self.seen[parent].obj, name, owner=self.seen[cluster].obj)

    @property
    def ground(self) -> Ground:
        return Ground(self.seen)


@pytest.fixture
def site() -> Site:
    """One of everything."""
    made = Site()
    made.datacenter("DC0")
    made.cluster("DC0", "C0", ["h1", "h2"], ["ds1"])
    return made


def refused(site: Site, wanted: Placement, datacenter: str | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        site.ground.place(wanted, datacenter)
    return caught.value


def test_where_only_one_place_is_possible_nothing_need_be_said(site: Site) -> None:
    place = site.ground.place(Placement())
    assert (place.folder._moId, place.pool._moId, place.datastore.id) == ("DC0-vm", "C0-pool", "ds1")
    assert [host.id for host in place.hosts] == ["h1", "h2"]


def test_two_of_a_kind_are_refused_with_the_candidates(site: Site) -> None:
    site.cluster("DC0", "C1", ["h3"], ["ds1"])
    error = refused(site, Placement())
    assert error.kind is ErrorKind.CONFLICT
    assert "2 clusters are possible" in error.message
    assert "/DC0/host/C0, /DC0/host/C1" in error.hint
    assert site.ground.place(Placement(cluster="C1")).pool._moId == "C1-pool"


def test_a_name_that_nothing_bears_is_refused_with_the_candidates(site: Site) -> None:
    error = refused(site, Placement(datastore="ds9"))
    assert error.kind is ErrorKind.NOT_FOUND
    assert "datastore ds9 is not there" in error.message
    assert "/DC0/datastore/ds1" in error.hint


def test_the_endpoints_datacenter_holds_where_the_plan_names_none(site: Site) -> None:
    site.datacenter("DC1")
    site.cluster("DC1", "C1", ["h3"], ["ds2"])
    assert site.ground.place(Placement(), "DC1").datastore.id == "ds2"
    assert site.ground.place(Placement(datacenter="DC0"), "DC1").datastore.id == "ds1"
    assert refused(site, Placement()).kind is ErrorKind.CONFLICT


def test_a_cluster_of_another_datacenter_does_not_count(site: Site) -> None:
    site.datacenter("DC1")
    site.cluster("DC1", "C1", ["h3"], ["ds2"])
    assert refused(site, Placement(datacenter="DC0", cluster="C1")).kind is ErrorKind.NOT_FOUND


def test_folders_are_named_as_machines_are(site: Site) -> None:
    site.folder("f1", "DC0-vm", "Branch")
    site.folder("f2", "f1", "New")
    for word in ("New", "Branch/New", "/DC0/vm/Branch/New", "DC0/Branch/New", "vm/Branch/New"):
        assert site.ground.place(Placement(folder=word)).folder._moId == "f2"
    assert site.ground.place(Placement()).folder._moId == "DC0-vm"


def test_a_folders_name_that_is_ambiguous_is_settled_by_its_path(site: Site) -> None:
    for number in (1, 2):
        site.folder(f"a{number}", "DC0-vm", f"Branch{number}")
        site.folder(f"b{number}", f"a{number}", "New")
    error = refused(site, Placement(folder="New"))
    assert "/DC0/vm/Branch1/New, /DC0/vm/Branch2/New" in error.hint
    assert site.ground.place(Placement(folder="Branch2/New")).folder._moId == "b2"


def test_a_pool_is_one_of_the_clusters_own(site: Site) -> None:
    site.cluster("DC0", "C1", ["h3"], ["ds1"])
    site.pool("p0", "C0-pool", "Gold", "C0")
    site.pool("p1", "C1-pool", "Gold", "C1")
    assert site.ground.place(Placement(cluster="C1", pool="Gold")).pool._moId == "p1"


def test_hosts_in_maintenance_or_away_take_nothing(site: Site) -> None:
    site.cluster("DC0", "C1", ["h3"], ["ds1"], runtime__inMaintenanceMode=True)
    site.cluster("DC0", "C2", ["h4"], ["ds1"], runtime__connectionState="notResponding")
    for cluster in ("C1", "C2"):
        assert "is connected and out of maintenance" in refused(site, Placement(cluster=cluster)).message


def test_a_datastore_in_maintenance_is_no_candidate(site: Site) -> None:
    site.cluster("DC0", "C1", ["h3"], ["ds1", "ds2"])
    store = site.seen["ds2"]
    site.seen["ds2"] = Seen(store.obj, {**store.props, "summary.maintenanceMode": "inMaintenance"})
    assert site.ground.place(Placement(cluster="C1")).datastore.id == "ds1"


def test_the_host_is_the_same_for_the_same_target_and_has_the_network(site: Site) -> None:
    place = site.ground.place(Placement())
    assert place.host("file01n", "net-1") is place.host("file01n", "net-1")
    assert {place.host(f"file{n:02}n", "net-1")._moId for n in range(20)} == {"h1", "h2"}
    with pytest.raises(ProviderError, match="none of the hosts"):
        place.host("file01n", "net-2")


@pytest.mark.parametrize(
    ("word", "fits"),
    [
        ("New", True),
        ("h/New", False),
        ("/New", False),
        ("/DC0/vm/Branch/New/", True),
        ("ew", False),
        ("DC0", False),
    ],
)
def test_a_word_names_whole_parts_of_a_path(word: str, fits: bool) -> None:
    assert names(word, "/DC0/vm/Branch/New") is fits
