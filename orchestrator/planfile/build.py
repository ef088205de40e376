"""From the file's models to the neutral `PlanFile`: defaults filled in, names resolved, paths made absolute.

Checks nothing: a file with an error never comes here.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.model.endpoint import EndpointSettings, SettingValue
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.model.plan import (
    FINDING,
    ChangeRequest,
    Disposition,
    Expect,
    HostPlan,
    LiftSpec,
    ParitySpec,
    PlanFile,
    Waiver,
    Window,
)
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode, DomainJoin, Placement, StaticAddress, TargetSpec
from orchestrator.planfile import spec as s

_FRAME = {"provider", "max_parallel"}
_LOCAL_PATHS = {"world", "ca_file"}
_CUSTOMIZING = timedelta(minutes=30)
"""How long a first boot may take by default where the hypervisor customizes Windows in it."""
_EITHER = {"workgroup": "domain", "domain": "workgroup"}
"""A target's own key of these takes the other one of the defaults away."""


def build_plan(plan: s.PlanSpec, *, path: Path, sha256: str) -> PlanFile:
    """Build the plan of a checked file. `path` is as the user gave it; paths inside start at its folder."""
    return _Builder(plan, path.absolute().parent).plan(str(path), sha256)


class _Builder:
    def __init__(self, plan: s.PlanSpec, folder: Path) -> None:
        self._plan, self._folder = plan, folder

    def plan(self, path: str, sha256: str) -> PlanFile:
        plan = self._plan
        return PlanFile(
            path=path,
            sha256=sha256,
            name=plan.name,
            owner=plan.owner,
            change=_change(plan.change),
            endpoints=tuple(self._endpoint(name, spec) for name, spec in plan.endpoints.items()),
            hosts=tuple(self._host(host) for host in plan.hosts),
            waves=self._waves(),
            stop_wave_after=plan.defaults.failure.stop_wave_after,
        )

    def _waves(self) -> tuple[str, ...]:
        used = dict.fromkeys(host.wave for host in self._plan.hosts)
        return tuple(wave for wave in self._plan.waves or used if wave in used)

    def _endpoint(self, name: str, spec: s.EndpointSpec) -> EndpointSettings:
        """Settings hold what the file says and no more, so that an adapter tells "not given" from "given"."""
        settings: dict[str, SettingValue] = {}
        for key in sorted(spec.model_fields_set - _FRAME):
            value = getattr(spec, key)
            if isinstance(value, s.SecretSpec):
                value = self._secret(value)
            settings[key] = self._local(value) if key in _LOCAL_PATHS else value
        return EndpointSettings(
            name=name, provider=spec.provider, max_parallel=spec.max_parallel, settings=settings
        )

    def _local(self, path: str) -> str:
        return str(self._folder / path)

    def _secret(self, spec: s.SecretSpec) -> SecretRef:
        return SecretRef(
            env=spec.env, file=self._local(spec.file) if spec.file else None, keyring=spec.keyring
        )

    def _host(self, host: s.HostSpec) -> HostPlan:
        lift = host.disposition is Disposition.LIFT
        return HostPlan(
            name=host.name,
            endpoint=host.source.endpoint,
            vm=host.source.vm,
            expect=Expect(build=host.expect.build, arch=host.expect.arch),
            wave=host.wave,
            depends_on=tuple(dict.fromkeys(host.depends_on)),
            disposition=host.disposition,
            snapshot=(host.snapshot or self._plan.defaults.snapshot).consistency,
            isolation=None if lift else self._isolation(host.contain),
            lift=_lift(host.lift) if lift else None,
            target=self._target(host.target) if host.target else None,
            parity=self._parity(host.parity) if host.target else self._findings(host.parity),
        )

    def _isolation(self, spec: s.ContainSpec | None) -> IsolationSpec | None:
        if spec is None or spec.network is None:
            return IsolationSpec(mode=IsolationMode.UNPLUGGED)
        network = self._network(spec.network)
        assert network.mode is not None  # noqa: S101  a rule has refused the others
        return IsolationSpec(mode=network.mode, network=network)

    def _network(self, name: str) -> NetworkSpec:
        spec = self._plan.networks[name]
        given = spec.model_dump(exclude={"endpoint", "allow"})
        return NetworkSpec(**given, allow=_flows(spec.allow))

    def _target(self, own: s.TargetEntry) -> TargetSpec:
        defaults = self._plan.defaults.target
        displaced = {_EITHER.get(key) for key in own.model_fields_set}
        common = {key: getattr(defaults, key) for key in defaults.model_fields_set - displaced}
        given = common | {key: getattr(own, key) for key in own.model_fields_set}
        network, subnet = given.pop("network", None), given.pop("subnet", None)
        memory, address = given.pop("memory", own.memory), given.pop("address", own.address)
        given["admin_password"] = self._secret(given["admin_password"])
        given.setdefault("computer_name", own.vm.upper())
        given |= self._customization(given)
        return TargetSpec(
            **given,
            memory_bytes=memory,
            network=self._network(network) if network else NetworkSpec(name=subnet),
            address=_address(address),
        )

    def _customization(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return what only some hypervisors can do, in the model's own values."""
        found: dict[str, Any] = {}
        if isinstance(self._plan.endpoints[given["endpoint"]], s.VsphereEndpoint):
            found["copy_mode"] = given.get("copy_mode", CopyMode.FULL)
            found["first_boot_limit"] = given.get("first_boot_limit", _CUSTOMIZING)
        if (placement := given.get("placement")) is not None:
            found["placement"] = Placement(**placement.model_dump())
        if (domain := given.get("domain")) is not None:
            user = domain.username
            found["domain"] = DomainJoin(
                name=domain.name,
                username=self._secret(user) if isinstance(user, s.SecretSpec) else user,
                password=self._secret(domain.password),
            )
        return found

    def _parity(self, own: s.ParityEntry | None) -> ParitySpec:
        common = self._plan.defaults.parity
        own = own or s.ParityEntry()
        waivers = {w.item: w for w in (*common.waivers, *own.waivers)}
        gate = common.gate if own.gate is None else own.gate
        return ParitySpec(
            profile=own.profile or common.profile or ParitySpec().profile,
            gate=bool(gate),
            waivers=tuple(Waiver(**w.model_dump()) for w in waivers.values()),
        )

    def _findings(self, own: s.ParityEntry | None) -> ParitySpec | None:
        """Return the accepted findings of a host without a target; None where there are none."""
        waivers = tuple(w for w in self._parity(own).waivers if w.item.startswith(FINDING))
        return ParitySpec(waivers=waivers) if waivers else None


def _change(spec: s.ChangeSpec) -> ChangeRequest:
    return ChangeRequest(
        ticket=spec.ticket,
        reason=spec.reason,
        risk=spec.risk or "",
        window=_window(spec.window) if spec.window else None,
        approvals=spec.approvals,
    )


def _window(spec: s.WindowSpec) -> Window:
    """Of a time that comes twice (clocks go back) take the reading that shortens the window, as warned."""
    zone = ZoneInfo(spec.timezone)
    return Window(
        opens=aware(spec.opens, zone, 1), closes=aware(spec.closes, zone, 0), timezone=spec.timezone
    )


def aware(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """Put a wall-clock time into its zone."""
    return local.replace(tzinfo=zone, fold=fold)


def _lift(spec: s.LiftEntry | None) -> LiftSpec | None:
    if spec is None:
        return None
    return LiftSpec(
        endpoint=spec.endpoint,
        size=spec.size,
        subnet=spec.subnet,
        allow=_flows(spec.allow),
        source_after=spec.source_after.value,
    )


def _flows(specs: tuple[s.FlowSpec, ...]) -> tuple[Flow, ...]:
    return tuple(Flow(to=f.to, port=f.port, proto=f.proto.value, why=f.why) for f in specs)


def _address(spec: s.AddressSpec | s.DhcpWord) -> StaticAddress | None:
    if not isinstance(spec, s.AddressSpec):
        return None
    return StaticAddress(ip=spec.ip, gateway=spec.gateway, dns=spec.dns)
