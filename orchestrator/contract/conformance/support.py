"""What the suites share: tokens, the planted password, refusal checks, and the sweeps that fail a call at
every point in turn."""

import functools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

import pytest

from orchestrator.contract.conformance.effect import Crash, Ledger, RecordingEffect
from orchestrator.contract.conformance.probes import PROBES
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from orchestrator.contract.provider import Adapter, Capability, ObjectKind, ResolveSecret
from orchestrator.model.machine import Machine, MachineRef
from orchestrator.model.secret import SecretRef

PASSWORD = "Pl4nted-Passw0rd-6003"
"""Must show up nowhere but in the answer medium."""

PASSWORD_REF = SecretRef(env="FERRY_CONFORMANCE_PASSWORD")

MAX_POINTS = 60
"""An adapter that needs more calls of `Effect` for one step than this is in a loop."""

Scene = TypeVar("Scene")
Result = TypeVar("Result")


def token(step: str) -> str:
    """Return a token that was never used."""
    return f"ferry.conformance-{uuid.uuid4().hex[:12]}.host.{step}"


def effect(step: str, ledger: Ledger | None = None) -> RecordingEffect:
    """Return an undisturbed effect with a token of its own."""
    return RecordingEffect(token(step), ledger if ledger is not None else Ledger())


def again(first: RecordingEffect) -> RecordingEffect:
    """Return the effect of a repeat: same token, same ledger, fresh record."""
    return RecordingEffect(first.token, first.ledger)


def with_planted_password(secrets: ResolveSecret) -> ResolveSecret:
    """Resolve the planted password, and all else as the rig does."""
    return lambda ref: PASSWORD if ref == PASSWORD_REF else secrets(ref)


@contextmanager
def refused(*kinds: ErrorKind) -> Iterator[list[ProviderError]]:
    """Expect a ProviderError of one of these kinds with a message for people; hands it out in a list."""
    caught: list[ProviderError] = []
    with pytest.raises(ProviderError) as info:
        yield caught
    error = info.value
    assert error.kind in kinds, f"{error.kind}: {error}"
    assert len(error.message) > 5
    assert PASSWORD not in f"{error!r}{error}"
    caught.append(error)


def supported(capability: Capability, adapter: Adapter, rig: Rig) -> bool:
    """Tell whether it is declared; where it is not, assert that the call says so."""
    if capability in adapter.capabilities:
        return True
    with refused(ErrorKind.UNSUPPORTED):
        PROBES[capability](adapter, rig)
    return False


def needs(*capabilities: Capability) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test where all are declared; else assert UNSUPPORTED for those that are not. Never skips."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def checked(self: object, adapter: Adapter, rig: Rig, **fixtures: object) -> None:
            undeclared = [
                capability for capability in capabilities if not supported(capability, adapter, rig)
            ]
            if not undeclared:
                test(self, adapter=adapter, rig=rig, **fixtures)

        return checked

    return decorate


def picture(rig: Rig, *refs: MachineRef) -> dict[str, object]:
    """Return all that the hypervisor itself lists, and the whole description of these machines."""
    listed: dict[str, object] = {kind.value: rig.objects(kind) for kind in ObjectKind}
    return listed | {ref.name: rig.describe(ref) for ref in refs}


def observe(adapter: Adapter, ref: MachineRef) -> Machine:
    """Return the machine as the adapter reports it."""
    (machine,) = adapter.inventory.machines([ref.id])
    return machine


def at_every_crash(
    setup: Callable[[], Scene],
    act: Callable[[Scene, RecordingEffect], Result],
    check: Callable[[Scene, Result, Ledger], None],
) -> None:
    """Let the process die at the first, second, ... call of `Effect`, then call again with the same token.

    Each time in a fresh scene; `check` must find what an undisturbed call leaves. Ends with the undisturbed
    call itself.
    """
    for point in count(1):
        assert point <= MAX_POINTS
        scene, first = setup(), RecordingEffect(token("crash"), crash_at=point)
        try:
            result = act(scene, first)
        except Crash:
            check(scene, act(scene, again(first)), first.ledger)
        else:
            check(scene, result, first.ledger)
            assert point > 1, "the call announced nothing to its effect"
            return


def at_every_lost_lease(
    rig: Rig,
    setup: Callable[[], Scene],
    act: Callable[[Scene, RecordingEffect], Result],
    check: Callable[[Scene, Result, Ledger], None],
) -> None:
    """Lose the lease at the first, second, ...

    check: nothing further may change, and a new holder of the lease can finish.
    """
    for point in count(1):
        assert point <= MAX_POINTS
        at_loss: list[dict[str, object]] = []
        scene, first = setup(), RecordingEffect(token("lease"), lose_lease_at=point)
        refs = _machines_in(scene)
        first.at_failure = lambda at_loss=at_loss, refs=refs: at_loss.append(picture(rig, *refs))  # type: ignore[misc]
        try:
            result = act(scene, first)
        except LeaseLost:
            assert picture(rig, *refs) == at_loss[0], (
                f"something changed after the lease was lost: {first.calls[-1]}"
            )
            check(scene, act(scene, again(first)), first.ledger)
        else:
            assert not at_loss, "a lost lease was swallowed"
            check(scene, result, first.ledger)
            assert point > 1, "the call never checked its lease"
            return


def _machines_in(scene: object) -> tuple[MachineRef, ...]:
    """Return the machine that a scene is about: the scene itself, a member of the tuple, or its field
    `ref`."""
    parts = scene if isinstance(scene, tuple) else (scene, getattr(scene, "ref", None))
    return tuple(part for part in parts if isinstance(part, MachineRef))


def same(found: bytes, wanted: bytes) -> bool:
    """Compare what disks hold.

    Not by `assert a == b`: where pytest shows differences in full, as under CI, it takes minutes to describe
    how blocks of bytes differ.
    """
    return found == wanted
