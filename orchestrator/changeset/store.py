"""Change sets as files: canonical JSON, the digest over it, saving and loading. The only part of this
package that touches a disk."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.changeset.changes import FORMAT, ChangeSet
from orchestrator.diagnostics import Diagnostic, InvalidInput, Refused

MAX_BYTES = 64 * 1024 * 1024


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no white space, ASCII only: equal values give equal text on every
    machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def body(change_set: ChangeSet) -> str:
    """Return the change set's canonical JSON."""
    return canonical_json(change_set.model_dump(mode="json"))


def digest(change_set: ChangeSet) -> str:
    """Return the SHA-256 (64 hex digits) that approvals are bound to."""
    return _digest(body(change_set))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def parse_body(text: str) -> ChangeSet:
    """Read canonical JSON back. Raises pydantic's ValidationError."""
    return ChangeSet.model_validate_json(text)


def save(change_set: ChangeSet, path: Path) -> str:
    """Write the change set with its digest, beside the file and then renamed; return the digest."""
    text = body(change_set)
    value = _digest(text)
    document = {"digest": value, "change_set": json.loads(text)}
    write_atomically(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
    return value


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path` and rename: a reader sees the old file or the new one, never a half."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path) -> tuple[ChangeSet, str]:
    """Read a saved change set and return it with its digest.

    Raises InvalidInput for what is not a change set, Refused (code "digest") when the content is not what the
    digest was taken over: an edited change set is never carried out.
    """
    document = _document(path)
    claimed, content = document.get("digest"), document.get("change_set")
    if not isinstance(claimed, str) or not isinstance(content, dict):
        raise _invalid(path, "is not a change set", "make one with `ferry plan preview PLAN -o CS.json`")
    actual = hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()
    if actual != claimed:
        message = f"{path}: the content does not match its digest: says {claimed[:12]}, is {actual[:12]}"
        raise Refused(message, hint="the file was edited; preview the plan again", code="digest")
    if content.get("format") != FORMAT:
        raise _invalid(
            path, f"is a change set of format {content.get('format')!r}, not {FORMAT}", "preview again"
        )
    try:
        return ChangeSet.model_validate(content), actual
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _invalid(path, f"{where}: {first['msg']}", "preview the plan again with this version") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(path, "is larger than 64 MiB", "is it a change set?")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(path, f"cannot be read: {error.strerror}", "check the path") from None
    except (ValueError, RecursionError):
        raise _invalid(path, "is not JSON", "make one with `ferry plan preview PLAN -o CS.json`") from None
    if not isinstance(value, dict):
        raise _invalid(path, "is not a change set", "make one with `ferry plan preview PLAN -o CS.json`")
    return value


def _invalid(path: Path, summary: str, hint: str) -> InvalidInput:
    return InvalidInput((Diagnostic("change-set", f"{path} {summary}", hint),))
