"""Evidence read back into values, each checked against its own hash. Pure.

What cannot be read is told, never guessed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from orchestrator.history import Evidence
from orchestrator.model.base import Value
from orchestrator.model.facts import ServerFacts
from orchestrator.model.network import IsolationEvidence
from orchestrator.model.target import StagedTarget
from orchestrator.parity.result import ParityResult

V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class Seen:
    """A parity result with the time of its evidence."""

    result: ParityResult
    at: datetime


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """The newest facts of a host, of this run or an earlier one."""

    facts: ServerFacts
    at: datetime
    run: str


@dataclass(frozen=True, slots=True)
class HostRecords:
    """What the evidence of one host says; None where there is none."""

    source: ServerFacts | None = None
    """Of this run."""
    known: KnownFacts | None = None
    """Of this run, else of an earlier one."""
    target: ServerFacts | None = None
    isolation: IsolationEvidence | None = None
    isolated_at: datetime | None = None
    staged: StagedTarget | None = None
    parity: Seen | None = None
    problems: tuple[str, ...] = ()


def host_records(evidence: Sequence[Evidence], earlier: Sequence[Evidence] = ()) -> HostRecords:
    """Return a host's newest readable evidence of each kind, and in words what is wrong with the rest.

    `earlier` is evidence of other runs: only its facts count, and only where this run has none yet.
    """
    own = sorted(evidence, key=lambda e: e.at)
    sound = [e for e in own if _hash(e) == e.sha256]
    problems = [
        f"evidence {e.kind} of {e.at:%Y-%m-%d %H:%M} does not match its hash" for e in own if e not in sound
    ]
    source = _newest(sound, "facts-source", ServerFacts, problems)
    known = _known(sound, source) if source is not None else _earlier(earlier, problems)
    target = _newest(sound, "facts-target", ServerFacts, problems)
    isolation = _newest(sound, "isolation", IsolationEvidence, problems)
    staged = _newest(sound, "staged", StagedTarget, problems)
    return HostRecords(
        source=source,
        known=known,
        target=target,
        isolation=isolation,
        isolated_at=next((e.at for e in reversed(sound) if e.kind == "isolation"), None),
        staged=staged,
        parity=_parity(sound, problems),
        problems=tuple(problems),
    )


def _known(evidence: list[Evidence], facts: ServerFacts) -> KnownFacts:
    newest = next(e for e in reversed(evidence) if e.kind == "facts-source")
    return KnownFacts(facts, newest.at, newest.run)


def _earlier(evidence: Sequence[Evidence], problems: list[str]) -> KnownFacts | None:
    own = sorted((e for e in evidence if e.kind == "facts-source"), key=lambda e: e.at)
    sound = [e for e in own if _hash(e) == e.sha256]
    if len(sound) < len(own):
        problems.append("an earlier inventory does not match its hash")
    facts = _newest(sound, "facts-source", ServerFacts, problems)
    return _known(sound, facts) if facts is not None else None


def _hash(evidence: Evidence) -> str:
    return hashlib.sha256(evidence.body.encode("utf-8")).hexdigest()


def _newest(evidence: list[Evidence], kind: str, shape: type[V], problems: list[str]) -> V | None:
    for found in reversed(evidence):
        if found.kind == kind:
            return _read(found, shape, problems)
    return None


def _read(evidence: Evidence, shape: type[V], problems: list[str]) -> V | None:
    try:
        return shape.model_validate_json(evidence.body)
    except ValidationError:
        problems.append(
            f"evidence {evidence.kind} of {evidence.at:%Y-%m-%d %H:%M} cannot be read by this version"
        )
        return None


def _parity(evidence: list[Evidence], problems: list[str]) -> Seen | None:
    """Return the newest comparison: the run's baseline, or a later look (kind refresh)."""
    for found in reversed(evidence):
        if found.kind == "parity":
            result = _read(found, ParityResult, problems)
        elif found.kind == "refresh":
            result = _read(found, ParityResult, [])
        else:
            continue
        if result is not None:
            return Seen(result, found.at)
    return None
