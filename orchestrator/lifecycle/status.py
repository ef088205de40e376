"""Where a server stands, and stood, on a day. The day is an argument: no clock here."""

from datetime import date
from enum import StrEnum

from orchestrator.lifecycle.builds import Release, release_of
from orchestrator.lifecycle.dates import MILESTONES, WITHOUT_SP2, Hosting, Milestone, Phase
from orchestrator.lifecycle.editions import edition
from orchestrator.lifecycle.sources import Grade
from orchestrator.model.base import Value
from orchestrator.model.facts import Identity

FREE = frozenset({Phase.MAINSTREAM, Phase.EXTENDED})


class When(StrEnum):
    """How a stage stands on the day that is asked for. NEVER: it was or is not for this server."""

    OVER = "over"
    HOLDS = "holds"
    TO_COME = "to come"
    NEVER = "not for it"


class Stage(Value):
    """One milestone as it is for one server on one day; `why` says why it is not for it."""

    milestone: Milestone
    when: When
    why: str = ""


class SupportStatus(Value):
    """Where a server stands on a day.

    `stage` names the milestone that holds, or the last one that passed; `stages` is the way there and on.
    `free_until`: the last day of updates for everybody; `paid_until`: for those who could buy them.
    """

    on: date
    phase: Phase
    release: Release | None
    stage: str
    last_day: date | None
    reason: str
    hosted_on_azure: bool
    stages: tuple[Stage, ...] = ()
    free_until: date | None = None
    paid_until: date | None = None


def status_on(identity: Identity, on: date, hosted_on_azure: bool) -> SupportStatus:
    """Tell the support status of a server on the day `on`, and the stages before and after it.

    A client, or a build or release that is not in the tables: UNKNOWN, with the reason.
    """
    found = release_of(identity)
    if found is None:
        return _unknown(None, "it is not a known Windows Server build", on, hosted_on_azure)
    milestones = (WITHOUT_SP2,) if identity.build == 6001 else MILESTONES.get(found.key, ())
    if not milestones:
        reason = f"the end of support of {found.name} is not in the tables"
        return _unknown(found, reason, on, hosted_on_azure)
    stages = _stages(milestones, identity, on, hosted_on_azure)
    own = [stage for stage in stages if stage.when is not When.NEVER]
    shown = next((s for s in own if s.when is When.HOLDS), own[-1])
    return SupportStatus(
        on=on,
        phase=shown.milestone.phase if shown.when is When.HOLDS else Phase.ENDED,
        release=found,
        stage=shown.milestone.stage,
        last_day=shown.milestone.last_day,
        reason=_reason(found, shown),
        hosted_on_azure=hosted_on_azure,
        stages=stages,
        free_until=max(s.milestone.last_day for s in own if s.milestone.phase in FREE),
        paid_until=max((s.milestone.last_day for s in own if s.milestone.phase is Phase.PAID), default=None),
    )


def _unknown(found: Release | None, reason: str, on: date, azure: bool) -> SupportStatus:
    return SupportStatus(
        on=on,
        phase=Phase.UNKNOWN,
        release=found,
        stage="",
        last_day=None,
        reason=reason,
        hosted_on_azure=azure,
    )


def _stages(
    milestones: tuple[Milestone, ...], identity: Identity, on: date, azure: bool
) -> tuple[Stage, ...]:
    stages = []
    holding = False
    for milestone in milestones:
        why = _not_for(milestone, identity, azure)
        if why:
            stages.append(Stage(milestone=milestone, when=When.NEVER, why=why))
            continue
        when = When.OVER if on > milestone.last_day else When.TO_COME if holding else When.HOLDS
        holding = holding or when is When.HOLDS
        stages.append(Stage(milestone=milestone, when=when))
    return tuple(stages)


def _not_for(milestone: Milestone, identity: Identity, azure: bool) -> str:
    """Say why a stage is not for this server, "" where it is. An edition that is not known keeps it."""
    if milestone.hosting is not Hosting.ANYWHERE and azure is not (milestone.hosting is Hosting.AZURE):
        return milestone.hosting.value
    name = edition_id(identity)
    if milestone.editions and name and not name.startswith(milestone.editions):
        return f"not sold for edition {name}"
    if milestone.editions and identity.arch == "ia64":
        return "not sold for Itanium"
    return ""


def edition_id(identity: Identity) -> str:
    """Return EditionID as stored, else made from the SKU ("ServerWeb"); "" where neither is known."""
    if identity.edition:
        return identity.edition
    known = edition(identity.sku) if identity.sku is not None else None
    return f"Server{known.name}".replace(" ", "") if known else ""


def _reason(found: Release, stage: Stage) -> str:
    milestone = stage.milestone
    verb = "lasts until" if stage.when is When.HOLDS else "ended on"
    graded = "" if milestone.source.grade is Grade.VENDOR else f", {milestone.source.grade.value}"
    return (
        f"{found.name}: {milestone.stage} {verb} {milestone.last_day.isoformat()} "
        f"({milestone.source.where}{graded})"
    )
