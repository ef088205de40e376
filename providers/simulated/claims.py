"""Claims on simulated machines.

The comparison and the mark are one change under the file's lock, so of two only one can win.
"""

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Capability, Effect, ObjectKind
from orchestrator.model.machine import Claim, MachineRef
from providers.simulated.site import Site, conflict, find


class SimClaims:
    """Implements the role Claims."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ensure_claim(
        self, ref: MachineRef, claim: Claim, effect: Effect, *, succeeds: str | None = None
    ) -> Claim:
        """Claim the machine, or update our own claim."""
        self._site.need(Capability.CLAIMS)
        held = find(self._site.read("claims.look", ref), ref).claim
        _check_holder(ref, held, claim, succeeds)
        if held != claim:
            effect.intend(ObjectKind.CLAIM, ref.id, claim.run)
            self._mark(ref, claim, effect, succeeds)
        if effect.owns(ObjectKind.CLAIM, ref.id):
            effect.made(ObjectKind.CLAIM, ref.id)
        return claim

    def _mark(self, ref: MachineRef, claim: Claim, effect: Effect, succeeds: str | None) -> None:
        try:
            with self._site.change("claims.ensure_claim", effect, f"claim {ref.name}", ref) as centre:
                machine = find(centre, ref)
                _check_holder(ref, machine.claim, claim, succeeds)
                machine.claim = claim
        except ProviderError as error:
            if error.kind is ErrorKind.CONFLICT:  # what we announced never came to be
                effect.removed(ObjectKind.CLAIM, ref.id)
            raise

    def ensure_released(self, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        """Take our claim off."""
        self._site.need(Capability.CLAIMS)
        held = find(self._site.read("claims.look", ref), ref).claim
        if held is not None:
            _check_holder(ref, held, claim, None)
            with self._site.change("claims.ensure_released", effect, f"release {ref.name}", ref) as centre:
                machine = find(centre, ref)
                _check_holder(ref, machine.claim, claim, None)
                machine.claim = None
        effect.removed(ObjectKind.CLAIM, ref.id)

    def break_claim(self, ref: MachineRef, expected: Claim, effect: Effect) -> None:
        """Take a dead run's claim off if it is exactly `expected`."""
        self._site.need(Capability.CLAIMS)
        _check_exact(ref, find(self._site.read("claims.look", ref), ref).claim, expected)
        with self._site.change("claims.break_claim", effect, f"break the claim on {ref.name}", ref) as centre:
            machine = find(centre, ref)
            _check_exact(ref, machine.claim, expected)
            machine.claim = None
        if effect.owns(ObjectKind.CLAIM, ref.id):
            effect.removed(ObjectKind.CLAIM, ref.id)


def _check_holder(ref: MachineRef, held: Claim | None, claim: Claim, succeeds: str | None) -> None:
    if held is None or held.same_holder(claim) or held.run == succeeds:
        return
    message = (
        f"{ref.name} is claimed by run {held.run} (state {held.state_id}, host {held.host or 'unknown'})"
    )
    raise conflict(message, "wait for that run, or break its claim when it is dead")


def _check_exact(ref: MachineRef, held: Claim | None, expected: Claim) -> None:
    if held != expected:
        now = f"by run {held.run}, generation {held.generation}" if held else "by nobody"
        message = f"{ref.name} is claimed {now}, which is not the claim that was to be broken"
        raise conflict(message, "look at it again")
