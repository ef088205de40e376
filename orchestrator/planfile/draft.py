"""Writes plan files for people to finish: nodes to YAML, marks for what is missing, files that replace none.

Used by whatever drafts a plan file (a spreadsheet's import, a discovery).
"""

import json
import os
import re
import tempfile
from pathlib import Path

from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.text import printable
from orchestrator.planfile.nodes import Items, Node, Table, Text
from orchestrator.planfile.rules.change import FILL_IN

# What every YAML reader takes as text, quotes or not.
_BARE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_FLOW_WIDTH = 100
_COMMENT_WIDTH = 300


def fill_in(what: str, near: Text | Table) -> Text:
    """Mark a value that a person must write; validation reports it until then."""
    return Text(f"{FILL_IN}{what}>", near.at, plain=False)


def slug(text: str, default: str) -> str:
    """Make a name that a plan file takes out of any text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63].rstrip("-._") or default


def yaml_text(root: Table) -> str:
    """Write a tree as YAML. Short mappings go on one line; text that looks like a number is quoted.

    A mapping's comment stands above it, made harmless: it may hold what a guest says of itself.
    """
    lines: list[str] = []
    for key, value in root.items():
        lines += _entry(key, value, "")
        if isinstance(value, Table | Items):
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _entry(key: str, value: Node, indent: str) -> list[str]:
    short = _flow(value)
    above = _comment(value, indent)
    if (
        isinstance(value, Text)
        or not value
        or (len(indent) > 0 and len(indent) + len(key) + len(short) < _FLOW_WIDTH)
    ):
        return [*above, f"{indent}{_scalar(Text(key, value.at, plain=False))}: {short}"]
    return [*above, f"{indent}{_scalar(Text(key, value.at, plain=False))}:", *_block(value, indent + "  ")]


def _comment(value: Node, indent: str) -> list[str]:
    """A private key's first line would make a secret of a comment, so no such row of dashes stays."""
    lines = value.comment.split("\n") if isinstance(value, Table) and value.comment else []
    return [f"{indent}# {re.sub('-{3,}', '--', printable(line, _COMMENT_WIDTH))}" for line in lines]


def _block(value: Node, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, Table):
        for key, child in value.items():
            lines += _entry(key, child, indent)
    for item in value if isinstance(value, Items) else ():
        below = (
            _block(item, indent + "  ") if isinstance(item, Table) and item else [f"{indent}  {_flow(item)}"]
        )
        lines += [*_comment(item, indent), f"{indent}- {below[0].lstrip()}", *below[1:]]
    return lines


def _flow(value: Node) -> str:
    if isinstance(value, Table):
        return (
            "{"
            + ", ".join(f"{_scalar(Text(k, v.at, plain=False))}: {_flow(v)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, Items):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(text: Text) -> str:
    if text.plain or (_BARE.fullmatch(text) and text.lower() not in _WORDS):
        return str(text)
    return json.dumps(text, ensure_ascii=False)


def check_free(path: Path) -> None:
    """Find out early that a file is there: `write_new` would refuse it after all the work. InvalidInput."""
    if path.exists() or path.is_symlink():
        raise _taken(path)


def write_new(path: Path, text: str, *, force: bool = False) -> None:
    """Write a file beside its place, then move it there. InvalidInput where one is there already."""
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error
    _move(Path(beside), path, force=force)


def _move(beside: Path, path: Path, *, force: bool) -> None:
    """A link, unlike a rename, fails where the name is taken, even if it was taken just now."""
    try:
        beside.chmod(0o644)
        if force:
            beside.replace(path)
        else:
            path.hardlink_to(beside)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        problem = Diagnostic(
            "unwritable", f"cannot be written: {error.strerror}", "check the path", path=str(path)
        )
        raise InvalidInput((problem,)) from error
    finally:
        beside.unlink(missing_ok=True)


def _taken(path: Path) -> InvalidInput:
    hint = "choose another name, or force it"
    return InvalidInput((Diagnostic("exists", "is there already", hint, path=str(path)),))


def _unwritable(path: Path, error: OSError) -> InvalidInput:
    hint = "check the folder and its rights"
    return InvalidInput(
        (Diagnostic("unwritable", f"cannot be written: {error.strerror}", hint, path=str(path)),)
    )
