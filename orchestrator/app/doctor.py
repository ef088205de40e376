"""What `ferry doctor` finds: programs, sandbox, providers, and what each endpoint of a plan answers.
Changes nothing."""

import shutil
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from orchestrator import registry, sandbox
from orchestrator.app import planning, secrets
from orchestrator.diagnostics import FerryError
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.network import Finding
from orchestrator.model.plan import PlanFile
from orchestrator.model.secret import SecretRef


class State(StrEnum):
    """How a check went. MISSING stops some work; WEAK is a lesser way that works."""

    OK = "ok"
    WEAK = "weak"
    MISSING = "missing"


class Check(Value):
    """One line of the doctor's table; `hint` says how to get what is missing."""

    name: str
    state: State
    detail: str
    hint: str = ""
    endpoint: bool = False
    """Whether it is about an endpoint's answer."""


_PROGRAMS = (
    ("qemu-img", "reading disk images", "apt-get install qemu-utils"),
    ("qemu-nbd", "reading disk images", "apt-get install qemu-utils"),
    ("bwrap", "the sandbox around disk images", "apt-get install bubblewrap"),
)


def examine(plan: Path | None, now: datetime) -> tuple[Check, ...]:
    """Return every check, in a fixed order. Raises InvalidInput for a plan that is not valid."""
    checks = [_python(), *(_program(*p) for p in _PROGRAMS), _sandbox(), *_providers()]
    if plan is not None:
        decoded = planning.load(plan, now)
        for endpoint in planning.used_endpoints(decoded):
            checks += _endpoint(endpoint)
        checks += _secrets(decoded)
    return tuple(checks)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check(name="python", state=State.OK, detail=found)


def _program(name: str, purpose: str, hint: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name=name, state=State.MISSING, detail=f"not found; needed for {purpose}", hint=hint)
    return Check(name=name, state=State.OK, detail=path)


def _sandbox() -> Check:
    status = sandbox.sandbox_status()
    full = status.level is sandbox.SandboxLevel.FULL
    hint = (
        "" if full else "install bubblewrap and allow user namespaces; until then only resource limits hold"
    )
    return Check(name="sandbox", state=State.OK if full else State.WEAK, detail=str(status), hint=hint)


def _providers() -> list[Check]:
    return [_provider(name) for name in sorted(registry.installed())]


def _provider(name: str) -> Check:
    try:
        registry.load(name)
    except FerryError as error:
        return Check(name=f"provider {name}", state=State.WEAK, detail=error.message, hint=error.hint)
    return Check(name=f"provider {name}", state=State.OK, detail="loads")


def _endpoint(endpoint: EndpointSettings) -> list[Check]:
    """Ask one endpoint who it is, and what it can do, through a connection that can only read."""
    name = f"endpoint {endpoint.name}"
    try:
        with planning.open_readers((endpoint,)) as readers:
            reader = readers[endpoint.name]
            about = reader.inventory.about()
            able = ", ".join(sorted(capability.value for capability in reader.capabilities))
            rights = reader.preflight.rights()
    except FerryError as error:
        return [Check(name=name, state=State.MISSING, detail=error.message, hint=error.hint, endpoint=True)]
    answers = Check(name=name, state=State.OK, detail=f"{about.product} {about.version}, {about.identity}")
    notes = [Check(name=name, state=State.WEAK, detail=note) for note in about.notes]
    can = Check(name=name, state=State.OK, detail=f"can: {able}")
    return [answers, can, *notes, *_rights(name, rights)]


def _rights(name: str, rights: tuple[Finding, ...]) -> list[Check]:
    """List each right that the account lacks; of those that it has their number is enough.

    Not as an answer of the endpoint: it does answer, and a plan may do without the right.
    """
    lacking = [right for right in rights if not right.ok]
    checks = [
        Check(
            name=name,
            state=State.MISSING,
            detail=f"{right.check}: {right.detail}",
            hint="have it granted to this account, or leave out what needs it",
        )
        for right in lacking
    ]
    if rights:
        has = f"the account has {len(rights) - len(lacking)} of the {len(rights)} rights that ferry can need"
        checks.append(Check(name=name, state=State.OK, detail=has))
    return checks


def _secrets(plan: PlanFile) -> list[Check]:
    """Try every reference to a secret, and say only whether it resolves."""
    refs = {value for e in plan.endpoints for value in e.settings.values() if isinstance(value, SecretRef)}
    for target in (host.target for host in plan.hosts if host.target is not None):
        domain = target.domain
        named = (target.admin_password, *((domain.username, domain.password) if domain else ()))
        refs |= {value for value in named if isinstance(value, SecretRef)}
    return [_secret(ref) for ref in sorted(refs, key=str)]


def _secret(ref: SecretRef) -> Check:
    try:
        secrets.resolve(ref)
    except FerryError as error:
        return Check(name=f"secret {ref}", state=State.MISSING, detail=error.message, hint=error.hint)
    return Check(name=f"secret {ref}", state=State.OK, detail="is there")
