"""What a comparison says: values that go into evidence as JSON. Nothing is decided here."""

from datetime import date
from enum import StrEnum

from orchestrator.model.base import Value
from orchestrator.model.plan import Waiver

RESULT_FORMAT = 1


class State(StrEnum):
    """How an item of the old server stands on the new one."""

    SAME = "same"
    EQUIVALENT = "equivalent"
    """It differs, and a rule says that nothing needs doing."""
    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"
    """Only the new server has it. Never counts against it."""
    UNKNOWN = "unknown"
    """One of the two could not be seen. Never counts as equal."""
    WAIVED = "waived"


OPEN_STATES = frozenset({State.MISSING, State.CHANGED, State.UNKNOWN})


class Severity(StrEnum):
    """What an open item means for the verdict."""

    BLOCKER = "blocker"
    WARNING = "warning"
    INFO = "info"


RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.BLOCKER: 2}


class Verdict(StrEnum):
    """Whether the new server can take over. CANNOT_TELL: something that matters is unknown."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    PASS_WITH_WAIVERS = "pass-with-waivers"  # noqa: S105
    FAIL = "fail"
    CANNOT_TELL = "cannot-tell"


class ItemResult(Value):
    """One item.

    `old` and `new` are its values in words, "" where it is not there; `rule` is the id of the rule that
    decided.
    """

    item: str
    kind: str
    state: State
    severity: Severity
    old: str = ""
    new: str = ""
    details: tuple[tuple[str, str], ...] = ()
    rule: str = ""
    why: str = ""
    advice: str = ""
    waiver: Waiver | None = None
    waived: State | None = None
    """What the state would be without the waiver."""


class WaiverProblem(StrEnum):
    """Why a waiver has no effect."""

    EXPIRED = "expired"
    UNMATCHED = "unmatched"
    UNNEEDED = "unneeded"
    UNKNOWN = "unknown"
    """It names something unknown: what nobody has seen cannot be accepted."""


class WaiverNote(Value):
    """A waiver that did nothing, in words. `item` is as the plan file has it."""

    item: str
    problem: WaiverProblem
    text: str


class Ignored(Value):
    """An item that is never compared, and the rule that says so."""

    item: str
    rule: str
    why: str


class ParityResult(Value):
    """The whole comparison. `items` has the open ones first, worst first, then by kind and name."""

    format: int = RESULT_FORMAT
    verdict: Verdict
    release: int
    profile: str
    rules: str
    """Version and digest of the rule pack."""
    on: date
    items: tuple[ItemResult, ...]
    waiver_notes: tuple[WaiverNote, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def open_items(self) -> tuple[ItemResult, ...]:
        """Items that a person has to do something about: open, and more than information."""
        return tuple(i for i in self.items if i.state in OPEN_STATES and i.severity is not Severity.INFO)

    def count(self, state: State) -> int:
        """Return how many items are in a state."""
        return sum(item.state is state for item in self.items)


class Change(Value):
    """One item that moved between two looks; None: it was or is not listed."""

    item: str
    before: State | None
    now: State | None


class Progress(Value):
    """What happened between two looks at one pair of servers."""

    closed: tuple[Change, ...]
    opened: tuple[Change, ...]
    still_open: tuple[Change, ...]
    verdict_before: Verdict
    verdict_now: Verdict
