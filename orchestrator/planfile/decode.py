"""A plan file from disk to a checked `PlanFile`: every problem in one run, each with its place.

Reads the file and nothing else: no endpoint, no clock (today is given), no secret.
"""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location, Severity
from orchestrator.model.plan import PlanFile
from orchestrator.planfile.build import build_plan
from orchestrator.planfile.clear_secrets import find_secrets
from orchestrator.planfile.locate import locate, read_bytes
from orchestrator.planfile.nodes import ENOUGH, Items, Node, Table, Text
from orchestrator.planfile.rules import check_rules
from orchestrator.planfile.spec import PlanSpec
from orchestrator.planfile.wording import listed, quoted, suggest


def load_plan(path: Path, *, today: date, profiles: tuple[str, ...] = ()) -> PlanFile:
    """Read and check a plan file; `today` judges waivers and the window, `profiles` names the parity profiles
    that there are (none: they are not judged).

    Raises InvalidInput with every error of the file; warnings are left out.
    """
    plan, problems = check_plan(path, today, profiles)
    if plan is None:
        raise InvalidInput(tuple(p for p in problems if p.severity is Severity.ERROR))
    return plan


def check_plan(
    path: Path, today: date, profiles: tuple[str, ...] = ()
) -> tuple[PlanFile | None, tuple[Diagnostic, ...]]:
    """Read and check a plan file.

    Gives all problems, warnings too, in the file's order; the plan is None where one of them is an error.
    """
    try:
        raw = read_bytes(path)
        located = locate(raw, str(path))
    except InvalidInput as stopped:
        return None, stopped.diagnostics
    spec, found = check_tree(located.root, today, located.text, profiles)
    problems = _ordered((*located.problems, *found))
    if spec is None or any(p.severity is Severity.ERROR for p in problems):
        return None, problems
    return build_plan(spec, path=path, sha256=hashlib.sha256(raw).hexdigest()), problems


def check_tree(
    root: Table, today: date, text: str = "", profiles: tuple[str, ...] = ()
) -> tuple[PlanSpec | None, tuple[Diagnostic, ...]]:
    """Check a located tree; `text` is what it was read from, for secrets outside of values.

    The model is None where it could not be read; the problems may hold errors of the rules even if it could.
    """
    secrets = find_secrets(root, text)
    if (version := _other_version(root)) is not None:
        return None, _ordered((*secrets.problems, version))
    spec, problems = _read_models(root)
    problems += check_rules(root, today, profiles)
    # Of a value that is a secret, or not yet filled in, nothing else is said.
    marks = [d for d in problems if d.code == "fill-in"]
    hidden = {d.location for d in (*secrets.problems, *marks)}
    shown = [secrets.scrub(d) for d in problems if d.location not in hidden] + marks
    return spec, _ordered((*secrets.problems, *shown))


def _read_models(root: Table) -> tuple[PlanSpec | None, list[Diagnostic]]:
    problems: list[Diagnostic] = []
    spec = None
    try:
        spec = PlanSpec.model_validate(root, context=problems)
    except ValidationError as error:
        # Missing keys are in the list already: the models report them with what to write.
        errors = [e for e in error.errors(include_url=False) if e["type"] != "missing"]
        problems += [_translate(root, e) for e in errors[:ENOUGH]]
    return spec, problems


def _other_version(root: Table) -> Diagnostic | None:
    """A file of a later format is not searched for problems: its keys mean something else."""
    version = root.get("ferry")
    if isinstance(version, Text) and version.plain and version.isdigit() and int(version[:9]) > 1:
        summary = f"format {quoted(version)} is newer than this version of ferry"
        return Diagnostic("format", summary, "it reads format 1; use a newer ferry", version.at, "ferry")
    return None


def _translate(root: Table, error: Any) -> Diagnostic:
    """Turn one of pydantic's errors into a diagnostic at the node that it is about."""
    node, key_at = _find(root, error["loc"])
    at = key_at or node.at
    code, context = error["type"], error.get("ctx", {})
    if "summary" in context:
        return Diagnostic(code, context["summary"], context["hint"], at, node.path)
    if code == "union_tag_not_found" and isinstance(node, Table):
        hint = f"add it, for example `provider: kvm`; known are {listed(PROVIDERS)}"
        return Diagnostic("missing-key", "`provider` is missing", hint, at, node.path)
    if code == "union_tag_invalid" and isinstance(node, Table):
        provider = node["provider"]
        hint = suggest(provider, PROVIDERS)
        return Diagnostic(
            "unknown-value", f"provider {quoted(provider)} is not known", hint, provider.at, provider.path
        )
    expected, hint = _EXPECTED.get(code, ("something else", str(error["msg"])))
    if code == "tuple_type" and isinstance(node, Text):
        hint = f"write {quoted(f'[{node}]')}"
    return Diagnostic("type", f"expected {expected}, found {_found(node)}", hint, at, node.path)


PROVIDERS = ("azure", "kvm", "simulated", "vsphere")
_EXPECTED = {
    "tuple_type": ("a list", "write one item per line, each after `- `"),
    "union_tag_not_found": ("a mapping", "write `key: value` lines below it"),
    "dict_type": ("a mapping", "write `key: value` lines below it"),
    "model_type": ("a mapping", "write `key: value` lines below it"),
    "model_attributes_type": ("a mapping", "write `key: value` lines below it"),
}


def _found(node: Node) -> str:
    if isinstance(node, Text):
        return quoted(node)
    return "a list" if isinstance(node, Items) else "a mapping"


def _find(root: Table, loc: tuple[str | int, ...]) -> tuple[Node, Location | None]:
    """Follow pydantic's path; what names no node is a union's tag. A mapping's key has its own place."""
    node: Node = root
    parent: Node = root
    for step in loc:
        if step == "[key]" and isinstance(parent, Table):
            return node, next(at for key, at in parent.keys_at.items() if parent.get(key) is node)
        if (isinstance(node, Table) and step in node) or (isinstance(node, Items) and isinstance(step, int)):
            parent, node = node, node[step]  # type: ignore[index]
    return node, None


def _ordered(problems: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Sort by place and drop what was said twice (aliases are checked wherever they stand)."""
    unique = dict.fromkeys(problems)
    ordered = sorted(
        unique, key=lambda d: (d.location or Location("", 0, 0), d.severity is Severity.WARNING, d.code)
    )
    if len(ordered) <= ENOUGH:
        return tuple(ordered)
    rest = Diagnostic(
        "too-many",
        f"{len(ordered) - ENOUGH} more problems, or still more",
        "correct these first",
        ordered[-1].location,
    )
    return (*ordered[:ENOUGH], rest)
