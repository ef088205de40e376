"""For each capability, one call that needs it: what an adapter that does not declare it must refuse as
UNSUPPORTED."""

from collections.abc import Callable, Mapping

from orchestrator.contract.conformance.effect import RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.guest import GuestLimits
from orchestrator.contract.provider import Adapter, Capability
from orchestrator.model.machine import Claim, Consistency, MachineRef, PowerState
from orchestrator.model.network import IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec

Probe = Callable[[Adapter, Rig], object]

Call = Callable[[], object]

CLAIM = Claim(run="probe", digest="0", state_id="probe")

TOKEN = "ferry.probe.host.step"


def _effect() -> RecordingEffect:
    return RecordingEffect(TOKEN)


def _machine(rig: Rig) -> MachineRef:
    return rig.make_machine(rig.name("probe"))


def _snapshot(consistency: Consistency) -> Probe:
    return lambda adapter, rig: adapter.snapshots.ensure_snapshot(
        _machine(rig), rig.name("probe"), consistency, _effect()
    )


def _isolate(mode: IsolationMode, site_filter: str | None = None) -> Probe:
    def probe(adapter: Adapter, rig: Rig) -> object:
        uplink = "probe" if mode is IsolationMode.FILTERED and site_filter is None else None
        network = NetworkSpec(name=rig.name("probe"), mode=mode, uplink=uplink, site_filter=site_filter)
        spec = IsolationSpec(mode=mode, network=None if mode is IsolationMode.UNPLUGGED else network)
        return adapter.isolation.ensure_isolated(_machine(rig), spec, (), _effect())

    return probe


def _stage(copy_mode: CopyMode) -> Probe:
    return lambda adapter, rig: adapter.staging.ensure_target(
        TargetSpec(
            endpoint=rig.endpoint.name,
            release=2025,
            image=rig.golden_image or "none",
            copy_mode=copy_mode,
            vm=rig.name("probe"),
            network=NetworkSpec(name=rig.name("probe")),
            computer_name="PROBE",
            admin_password=SecretRef(env="FERRY_CONFORMANCE_PASSWORD"),
        ),
        _effect(),
    )


def _open_frozen(adapter: Adapter, rig: Rig) -> None:
    with adapter.disks.open_frozen(_machine(rig), TOKEN):
        pass


def _role_calls(adapter: Adapter, rig: Rig) -> dict[str, list[Call]]:
    """For each role, calls of no single capability; all are refused where the role has none."""
    ref, hand, network = _machine(rig), _effect(), NetworkSpec(name=rig.name("probe"))
    spec = IsolationSpec(mode=IsolationMode.UNPLUGGED)
    staged = StagedTarget(
        endpoint=ref.endpoint, id=ref.id, name=ref.name, token=TOKEN, fingerprint="", disks=(), medium=None
    )
    file = f"/tmp/{TOKEN}"  # noqa: S108  # in a guest, if anywhere
    return {
        "guests": [
            lambda: adapter.guests.put_file(ref, file, b"", hand),
            lambda: adapter.guests.read_file(ref, file, 1),
            lambda: adapter.guests.ensure_file_removed(ref, file, hand),
        ],
        "claims": [
            lambda: adapter.claims.ensure_released(ref, CLAIM, hand),
            lambda: adapter.claims.break_claim(ref, CLAIM, hand),
        ],
        "isolation": [
            lambda: adapter.isolation.ensure_network(network, hand),
            lambda: adapter.isolation.ensure_network_removed(network, hand),
            lambda: adapter.isolation.capture(ref),
            lambda: adapter.isolation.verify(ref, spec),
            lambda: adapter.isolation.ensure_released(ref, (), hand),
        ],
        "staging": [
            lambda: adapter.staging.customized(staged, "PROBE"),
            lambda: adapter.staging.ensure_medium_removed(staged, hand),
            lambda: adapter.staging.fingerprint(staged),
            lambda: adapter.staging.ensure_target_removed(staged, hand, keep_disks=True),
        ],
    }


def calls_of_empty_roles(adapter: Adapter, rig: Rig) -> list[Call]:
    """Return the calls of every role that has no declared capability."""
    calls = _role_calls(adapter, rig)
    return [
        call
        for role, capabilities in ROLES.items()
        if not capabilities & adapter.capabilities
        for call in calls[role]
    ]


ROLES: Mapping[str, frozenset[Capability]] = {
    "guests": frozenset({Capability.GUEST_CHANNEL}),
    "claims": frozenset({Capability.CLAIMS}),
    "isolation": frozenset(
        {
            Capability.ISOLATE_UNPLUGGED,
            Capability.ISOLATE_SEALED,
            Capability.ISOLATE_FILTERED,
            Capability.ISOLATE_SITE_FILTERED,
            Capability.CREATE_NETWORK,
        }
    ),
    "staging": frozenset({Capability.STAGE_OVERLAY, Capability.STAGE_FULL}),
}
"""Capabilities that give a role its calls."""


PROBES: Mapping[Capability, Probe] = {
    Capability.INVENTORY: lambda adapter, rig: adapter.inventory.machines(),
    Capability.POWER: lambda adapter, rig: adapter.power.ensure_power(
        _machine(rig), PowerState.ON, _effect()
    ),
    Capability.CLAIMS: lambda adapter, rig: adapter.claims.ensure_claim(_machine(rig), CLAIM, _effect()),
    Capability.SNAPSHOT_CRASH: _snapshot(Consistency.CRASH),
    Capability.SNAPSHOT_OFFLINE: _snapshot(Consistency.OFFLINE),
    Capability.SNAPSHOT_FILESYSTEM: _snapshot(Consistency.FILESYSTEM),
    Capability.SNAPSHOT_APPLICATION: _snapshot(Consistency.APPLICATION),
    Capability.SNAPSHOT_MEMORY: _snapshot(Consistency.MEMORY),
    Capability.SNAPSHOT_REMOVE: lambda adapter, rig: adapter.snapshots.ensure_snapshot_removed(
        _machine(rig), TOKEN, _effect()
    ),
    Capability.SNAPSHOT_REVERT: lambda adapter, rig: adapter.snapshots.ensure_reverted(
        _machine(rig), TOKEN, _effect()
    ),
    Capability.ISOLATE_UNPLUGGED: _isolate(IsolationMode.UNPLUGGED),
    Capability.ISOLATE_SEALED: _isolate(IsolationMode.SEALED),
    Capability.ISOLATE_FILTERED: _isolate(IsolationMode.FILTERED),
    Capability.ISOLATE_SITE_FILTERED: _isolate(IsolationMode.FILTERED, site_filter="probe"),
    Capability.CREATE_NETWORK: lambda adapter, rig: adapter.isolation.ensure_network(
        NetworkSpec(name=rig.name("probe"), create=True), _effect()
    ),
    Capability.DISK_SOURCE: _open_frozen,
    Capability.STAGE_OVERLAY: _stage(CopyMode.OVERLAY),
    Capability.STAGE_FULL: _stage(CopyMode.FULL),
    Capability.GUEST_CHANNEL: lambda adapter, rig: adapter.guests.run(
        rig.make_guest(rig.name("probe")), "none", (), GuestLimits(seconds=1.0, output=1), _effect()
    ),
}
