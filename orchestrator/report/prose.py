"""What a board asks of every change, in sentences: why, when, what may go wrong, how back. Pure."""

from orchestrator.changeset.changes import ChangeSet, Kind, StepKind
from orchestrator.lifecycle.dates import MILESTONES
from orchestrator.report import wording
from orchestrator.report.model import Pairs


def why(change_set: ChangeSet) -> Pairs:
    """Return the reason, the background and what happens if it is not done."""
    if change_set.kind is Kind.UNDO:
        return (
            ("Reason", f"Run {change_set.undo_of} is to be taken back."),
            (
                "If it is not done",
                "The servers stay as that run left them: cut off, with a snapshot that grows.",
            ),
        )
    return (
        ("Reason", wording.one_line(change_set.change.reason) or "not stated"),
        ("Background", _background()),
        (
            "If it is not done",
            f"Reachable on their networks without security updates: "
            f"{wording.plural(len(change_set.hosts), 'server')}. Whoever takes one can go on from there.",
        ),
    )


def schedule(change_set: ChangeSet) -> Pairs:
    """Return the window, the order and what stops it."""
    failures = wording.plural(change_set.stop_wave_after, "host")
    return (
        ("Window", wording.window(change_set.change.window)),
        ("Order", " then ".join(change_set.waves) or "none"),
        ("Gate", "A wave starts only when every host of the wave before is done."),
        ("Stop rule", f"A wave starts no further host once {failures} of it has failed."),
        ("Outside the window", _outside(change_set)),
        ("How long", "Minutes for a server; merging a snapshot takes longer the more was written since."),
        *_afterwards(change_set),
    )


def _outside(change_set: ChangeSet) -> str:
    if change_set.kind is Kind.UNDO:
        return "After the window it starts only with an approval, since servers are exposed again."
    return "The run refuses to start."


def _afterwards(change_set: ChangeSet) -> Pairs:
    if change_set.kind is Kind.UNDO or not any(h.plan.parity and h.plan.target for h in change_set.hosts):
        return ()
    text = "Parity is asked for (`ferry parity RUN --host HOST --refresh`) until it passes; then the switch."
    return (("Afterwards", text),)


def _background() -> str:
    days = {m.stage.partition(",")[0]: m.last_day for m in MILESTONES["2008"]}
    return (
        f"Extended support of Windows Server 2008 ended on {wording.day(days['extended support'])}, the last "
        f"extended security updates (in Azure only) on {wording.day(days['extended security updates'])}, "
        f"Premium Assurance, for those who had bought it, on {wording.day(days['Premium Assurance'])}. "
        "Holes found since then stay open."
    )


def risk(change_set: ChangeSet) -> Pairs:
    """Return the risk class, then each risk with what meets it."""
    shared = (
        ("Risk class", change_set.change.risk or "not stated"),
        (
            "The world changed since",
            "Each host is looked at again; any material difference stops it untouched.",
        ),
        (
            "Breaks off half-way",
            "It is resumed from any machine; each step looks before it acts and finds its own work.",
        ),
        ("Two runs on one server", "A mark on the machine itself keeps every other run out."),
    )
    if change_set.kind is Kind.UNDO:
        return shared
    return (
        *shared,
        (
            "Wrong server",
            "Windows is read from the snapshot before anything is cut off; a wrong one stops the host.",
        ),
        (
            "Cut-off does not hold",
            "It is proved from the hypervisor's own view; not proved counts as failed.",
        ),
        ("Loss of data", "The old disks are touched only by snapshots; removing one keeps every write."),
    )


def back_out(change_set: ChangeSet) -> tuple[str, ...]:
    """Return trigger, way and goal of the back-out, a sentence each."""
    if change_set.kind is Kind.UNDO:
        return ("This is the back-out. To cut the servers off again, apply the plan again.",)
    return (
        "Trigger: a host fails, its isolation is not proved, or something needed lived on the old server.",
        "Who and how: an operator runs `ferry plan undo RUN`, or with `--host HOST` for one server. "
        "The steps run in reverse order; the undo of each is named beside it.",
        "Restored means: every network card has exactly the network, link state and filter it had; our "
        "snapshot is merged and every write kept; the replacement is gone, its disks kept.",
        "Giving an unpatched server its network back after the window needs an approval of its own.",
    )


def point_of_no_return(change_set: ChangeSet) -> str:
    """Say which step cannot be taken back, or that there is none."""
    if harmless(change_set):
        text = "There is none: every step can be taken back."
        if change_set.kind is Kind.APPLY:
            text += " A replacement that people have changed is not removed unless that is asked for by name."
        return text
    return "Removing the replacements with their disks: what is on those disks is lost for good."


def harmless(change_set: ChangeSet) -> bool:
    """Tell whether every step can be taken back."""
    removes = any(step.kind is StepKind.REMOVE_TARGET for host in change_set.hosts for step in host.steps)
    return not (removes and change_set.delete_disks)
