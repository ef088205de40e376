"""Inventory: what is reported agrees with what the hypervisor itself says, and a reader cannot write."""

from orchestrator.contract.conformance.rig import DISK_BYTES, Rig
from orchestrator.contract.conformance.support import needs, observe
from orchestrator.contract.provider import CONTRACT_VERSION, Adapter, Capability, ObjectKind, Reader
from orchestrator.model.machine import PowerState

MUTATING_ROLES = ("power", "claims", "snapshots", "isolation", "disks", "staging")


class TestInventory:
    """Reads."""

    def test_contract_version_is_this_one(self, rig: Rig) -> None:
        assert rig.provider.contract_version == CONTRACT_VERSION

    def test_settings_of_the_rig_are_sound_and_an_unknown_one_is_named(self, rig: Rig) -> None:
        assert rig.provider.check_settings(rig.endpoint) == ()
        wrong = {**rig.endpoint.settings, "no_such_setting": "x"}
        problems = rig.provider.check_settings(rig.endpoint.model_copy(update={"settings": wrong}))
        assert any("no_such_setting" in str(problem) for problem in problems)

    def test_endpoint_says_the_same_of_itself_to_everybody(
        self, rig: Rig, adapter: Adapter, reader: Reader
    ) -> None:
        assert adapter.inventory.about().identity
        assert adapter.inventory.about().identity == reader.inventory.about().identity
        assert adapter.inventory.about().product

    @needs(Capability.INVENTORY)
    def test_machine_is_found_by_name_and_by_id(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        (by_name,) = adapter.inventory.machines([ref.name])
        (by_id,) = adapter.inventory.machines([ref.id])
        assert by_name == by_id
        assert by_name.ref == ref
        assert ref.endpoint == rig.endpoint.name

    @needs(Capability.INVENTORY)
    def test_missing_machine_is_left_out(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        assert [m.ref for m in adapter.inventory.machines([rig.name("none"), ref.name])] == [ref]

    @needs(Capability.INVENTORY)
    def test_all_machines_are_listed_once(self, adapter: Adapter, rig: Rig) -> None:
        made = {rig.make_machine(rig.name("vm")), rig.make_machine(rig.name("vm"), running=True)}
        listed = [m.ref for m in adapter.inventory.machines()]
        assert made <= set(listed)
        assert len(listed) == len(set(listed)) == len(rig.objects(ObjectKind.VM))

    @needs(Capability.INVENTORY)
    def test_listing_has_every_machine_once_as_it_is(self, adapter: Adapter, rig: Rig) -> None:
        off, on = rig.make_machine(rig.name("vm")), rig.make_machine(rig.name("vm"), running=True)
        listed = {one.ref: one for one in adapter.inventory.listing()}
        assert (listed[off].power, listed[on].power) == (PowerState.OFF, PowerState.ON)
        machines = [one.ref for one in adapter.inventory.listing() if not one.template]
        assert machines == [machine.ref for machine in adapter.inventory.machines()]
        for ref in (off, on):
            (found,) = adapter.inventory.machines([listed[ref].path])
            assert found.ref == ref

    @needs(Capability.INVENTORY)
    def test_other_words_for_a_machine_find_it(self, adapter: Adapter, rig: Rig) -> None:
        machine = observe(adapter, rig.make_machine(rig.name("vm")))
        for word in machine.also:
            assert [found.ref for found in adapter.inventory.machines([word])] == [machine.ref]

    def test_rights_that_are_there_are_no_hindrance(self, reader: Reader) -> None:
        found = reader.preflight.rights()
        assert all(finding.check and finding.detail for finding in found)
        assert [finding for finding in found if not finding.ok] == []

    @needs(Capability.INVENTORY)
    def test_power_cards_and_disks_are_as_the_hypervisor_says(self, adapter: Adapter, rig: Rig) -> None:
        for running in (False, True):
            ref = rig.make_machine(rig.name("vm"), running=running, nics=2, disks=2)
            machine = observe(adapter, ref)
            assert machine.power is (PowerState.ON if running else PowerState.OFF)
            assert machine.nics == rig.nics(ref)
            assert all(nic.key == nic.key.lower() for nic in machine.nics)
            disks = [disk for disk in machine.disks if not disk.cdrom]
            assert [disk.size_bytes for disk in disks] == [DISK_BYTES, DISK_BYTES]
            assert len({disk.key for disk in disks}) == len({disk.base for disk in disks}) == 2
            assert all(disk.chain[0] == disk.source and disk.chain[-1] == disk.base for disk in disks)
            assert machine.claim is None
            assert machine.snapshots == ()

    @needs(Capability.INVENTORY)
    def test_two_reads_of_an_unchanged_machine_are_equal(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"), nics=2)
        assert observe(adapter, ref) == observe(adapter, ref)

    @needs(Capability.INVENTORY)
    def test_foreign_snapshot_bears_no_token(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        rig.foreign_snapshot(ref, rig.name("snap"))
        (snapshot,) = observe(adapter, ref).snapshots
        assert snapshot.token is None

    @needs(Capability.INVENTORY)
    def test_foreign_network_is_listed_without_a_token(self, adapter: Adapter, rig: Rig) -> None:
        name = rig.name("net")
        rig.foreign_network(name)
        (network,) = [network for network in adapter.inventory.networks() if network.name == name]
        assert network.token is None
        assert network.uplink or network.addresses

    @needs(Capability.INVENTORY)
    def test_missing_image_is_left_out(self, adapter: Adapter, rig: Rig) -> None:
        assert adapter.inventory.images([rig.name("none")]) == ()
        if rig.golden_image:
            (image,) = adapter.inventory.images([rig.golden_image, rig.name("none")])
            assert image.size_bytes > 0

    def test_reader_reports_what_the_adapter_reports(
        self, rig: Rig, adapter: Adapter, reader: Reader
    ) -> None:
        ref = rig.make_machine(rig.name("vm"))
        read, written = (
            opened.inventory.machines([ref.id])[0].model_dump(exclude={"guest"})
            for opened in (reader, adapter)
        )
        assert read == written
        assert reader.capabilities == adapter.capabilities

    def test_reader_holds_nothing_that_can_write(self, reader: Reader) -> None:
        assert [role for role in MUTATING_ROLES if hasattr(reader, role)] == []

    def test_closing_twice_is_fine(self, rig: Rig) -> None:
        opened = rig.provider.open_reader(rig.endpoint, rig.secrets)
        opened.close()
        opened.close()
