"""What each step does. The only place in the program that calls a mutating provider method.

Each action looks at evidence and world, acts through `ensure_*` calls that its step's token makes repeatable,
and returns an outcome. Expected errors are raised as FerryError; `engine.steps` turns them into outcomes.
"""

from collections.abc import Callable, Mapping

from orchestrator.changeset.changes import StepKind
from orchestrator.engine.actions import claims, isolate, source, target, undo
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome

ACTIONS: Mapping[StepKind, Callable[[Job], Outcome]] = {
    StepKind.PREFLIGHT: source.preflight,
    StepKind.CLAIM: claims.claim,
    StepKind.SNAPSHOT: source.snapshot,
    StepKind.IDENTIFY: source.identify,
    StepKind.INVENTORY: source.inventory,
    StepKind.ISOLATE: isolate.isolate,
    StepKind.VERIFY: isolate.verify,
    StepKind.STAGE: target.stage,
    StepKind.INVENTORY_TARGET: target.inventory_target,
    StepKind.PARITY: target.parity,
    StepKind.RELEASE_CLAIM: claims.release,
    StepKind.REMOVE_TARGET: undo.remove_target,
    StepKind.RELEASE: undo.release,
    StepKind.REMOVE_SNAPSHOT: undo.remove_snapshot,
}
