"""Times, sizes and states in words, and the sentences that every report shares. Pure."""

from datetime import UTC, date, datetime, timedelta

from orchestrator.history import HostStatus, RunStatus, StepStatus
from orchestrator.model.facts import Identity, ProductType
from orchestrator.model.plan import Window
from orchestrator.parity.assessment.result import HostFinding
from orchestrator.parity.result import Severity, State, Verdict
from orchestrator.report.model import Badge, Tone

UNKNOWN = "unknown"

RUN_BADGES = {
    RunStatus.RUNNING: Badge(tone=Tone.NEUTRAL, text="running"),
    RunStatus.PAUSED: Badge(tone=Tone.WARN, text="paused"),
    RunStatus.INTERRUPTED: Badge(tone=Tone.WARN, text="interrupted"),
    RunStatus.DONE: Badge(tone=Tone.GOOD, text="done"),
    RunStatus.FAILED: Badge(tone=Tone.BAD, text="failed"),
    RunStatus.CANCELLED: Badge(tone=Tone.WARN, text="cancelled"),
}
HOST_BADGES = {
    HostStatus.WAITING: Badge(tone=Tone.NEUTRAL, text="waiting"),
    HostStatus.RUNNING: Badge(tone=Tone.NEUTRAL, text="running"),
    HostStatus.DONE: Badge(tone=Tone.GOOD, text="done"),
    HostStatus.FAILED: Badge(tone=Tone.BAD, text="failed"),
    HostStatus.REFUSED: Badge(tone=Tone.BAD, text="refused"),
    HostStatus.CANCELLED: Badge(tone=Tone.WARN, text="cancelled"),
    HostStatus.SKIPPED: Badge(tone=Tone.WARN, text="skipped"),
}
STEP_BADGES = {
    StepStatus.RUNNING: Badge(tone=Tone.NEUTRAL, text="running"),
    StepStatus.DONE: Badge(tone=Tone.GOOD, text="done"),
    StepStatus.FAILED: Badge(tone=Tone.BAD, text="failed"),
}
NOT_RUN = Badge(tone=Tone.NEUTRAL, text="not run")

VERDICT_BADGES = {
    Verdict.PASS: Badge(tone=Tone.GOOD, text="pass"),
    Verdict.PASS_WITH_WAIVERS: Badge(tone=Tone.WARN, text="pass with waivers"),
    Verdict.FAIL: Badge(tone=Tone.BAD, text="fail"),
    Verdict.CANNOT_TELL: Badge(tone=Tone.WARN, text="cannot tell"),
}
VERDICT_MEANING = {
    Verdict.PASS: "The replacement does everything that this profile counts.",
    Verdict.PASS_WITH_WAIVERS: "What the replacement lacks was accepted by somebody, until a date.",
    Verdict.FAIL: "The old server does things that the replacement does not do yet. They are listed.",
    Verdict.CANNOT_TELL: "Something that counts could not be seen, so nobody can say what is missing.",
}
ASSESSMENT_BADGES = {
    Verdict.PASS: Badge(tone=Tone.GOOD, text="nothing in the way"),
    Verdict.PASS_WITH_WAIVERS: Badge(tone=Tone.WARN, text="findings accepted"),
    Verdict.FAIL: Badge(tone=Tone.BAD, text="decision needed"),
    Verdict.CANNOT_TELL: Badge(tone=Tone.WARN, text="cannot tell"),
}
ASSESSMENT_MEANING = {
    Verdict.PASS: "Nothing was found that stands in the way; what there is to do is listed.",
    Verdict.PASS_WITH_WAIVERS: "What was found was accepted by somebody, at least in part, until a date.",
    Verdict.FAIL: "Something was found that has to be settled, or accepted by a waiver, before it goes on.",
    Verdict.CANNOT_TELL: "Something that would decide could not be seen, so that nobody can say.",
}
NOT_ASSESSED = "Not assessed: no facts of it are at hand."
_SEVERITY_TONES = {Severity.BLOCKER: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.INFO: Tone.NEUTRAL}
_STATE_TONES = {
    State.MISSING: Tone.BAD,
    State.CHANGED: Tone.WARN,
    State.UNKNOWN: Tone.WARN,
    State.WAIVED: Tone.NEUTRAL,
}

LEVELS = {Tone.BAD: "Problem", Tone.WARN: "Caution", Tone.NEUTRAL: "Note", Tone.GOOD: "Good"}
"""How much a notice matters, in a word."""

PASSED = Badge(tone=Tone.GOOD, text="ok")
NOT_PASSED = Badge(tone=Tone.BAD, text="not ok")
PROVED = Badge(tone=Tone.GOOD, text="proved")
NOT_PROVED = Badge(tone=Tone.BAD, text="not proved")


def state_badge(state: State, severity: Severity) -> Badge:
    """Return a parity state; only a blocker is shown as bad."""
    tone = _STATE_TONES.get(state, Tone.NEUTRAL)
    if severity is Severity.INFO:
        tone = Tone.NEUTRAL
    elif severity is Severity.WARNING and tone is Tone.BAD:
        tone = Tone.WARN
    return Badge(tone=tone, text=state.value)


def finding_badge(finding: HostFinding) -> Badge:
    """Return how serious a finding is; the unknown and the accepted say so instead."""
    if finding.waived:
        return Badge(tone=Tone.NEUTRAL, text=f"accepted {finding.severity.value}")
    if finding.cannot_tell:
        tone = Tone.NEUTRAL if finding.severity is Severity.INFO else Tone.WARN
        return Badge(tone=tone, text="cannot tell")
    return Badge(tone=_SEVERITY_TONES[finding.severity], text=finding.severity.value)


def moment(at: datetime | None) -> str:
    """Return a time in UTC to the second; "" for none."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


def minute(at: datetime) -> str:
    """Return a time in UTC to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(seen: datetime, now: datetime) -> str:
    """Return how old something is, in its two largest units."""
    return f"{duration(now - seen)} old"


def duration(span: timedelta) -> str:
    """Return a span in its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    if seconds == 0:
        return "under 1 s"
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def window(chosen: Window | None) -> str:
    """Return the change window in its own time zone."""
    if chosen is None:
        return "none: it may run at any time"
    span = duration(chosen.closes - chosen.opens)
    return (
        f"{chosen.opens:%a %Y-%m-%d %H:%M} to {chosen.closes:%a %Y-%m-%d %H:%M}, {chosen.timezone} ({span})"
    )


def size(count: int | None) -> str:
    """Return bytes in the largest binary unit that gives at least 1."""
    if count is None:
        return "size unknown"
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} bytes"


def listed(names: tuple[str, ...], limit: int = 6) -> str:
    """Return names with commas, and how many more there are beyond the limit."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sentence(text: str) -> str:
    """Return text as a sentence: a capital first, a full stop last."""
    line = one_line(text)
    ended = line if line.endswith((".", "!", "?")) else f"{line}."
    return ended[:1].upper() + ended[1:]


def setting(value: object) -> str:
    """Return a setting's value; a secret is its reference and never more."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def day(on: date) -> str:
    """Return a date as "14 January 2020"."""
    return f"{on.day} {on:%B %Y}"


def one_line(text: str) -> str:
    """Return text with its lines and runs of blanks joined."""
    return " ".join(text.split())


_ROLES = {
    ProductType.WORKSTATION: "a client, not a server",
    ProductType.DOMAIN_CONTROLLER: "domain controller",
    ProductType.SERVER: "server",
}


def system(identity: Identity) -> str:
    """Return which Windows an identity is, in one line."""
    name = identity.product_name or f"Windows {identity.version or UNKNOWN}"
    pack = f", {identity.service_pack}" if identity.service_pack else ""
    return f"{name}{pack}"


def build(identity: Identity) -> str:
    """Return version and build ("6.0.6003")."""
    number = identity.build if identity.build is not None else UNKNOWN
    return f"{identity.version or UNKNOWN}.{number}"


def role(identity: Identity) -> str:
    """Return server, domain controller or client."""
    return _ROLES[identity.product_type] if identity.product_type else UNKNOWN
