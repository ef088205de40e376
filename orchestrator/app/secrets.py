"""Resolves references to secrets at the moment of use. Error messages name the reference, never a value."""

import os
from pathlib import Path

from orchestrator.diagnostics import FerryError
from orchestrator.model.secret import SecretRef

MAX_BYTES = 64 * 1024


class SecretMissing(FerryError):
    """A secret cannot be had from where the plan says it is."""

    code = "secret-missing"


def resolve(ref: SecretRef) -> str:
    """Return the secret's value. Raises SecretMissing."""
    if ref.env is not None:
        return _env(ref.env)
    if ref.file is not None:
        return _file(Path(ref.file))
    return _keyring(ref.keyring or "")


def _env(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        message = f"the environment variable {name} is not set or empty"
        raise SecretMissing(message, hint=f"export {name}=... in the shell that runs ferry")
    return value


def _file(path: Path) -> str:
    """Read a secret from a file, without the line end that editors add."""
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"the secret file {path} is larger than 64 KiB"
            raise SecretMissing(message, hint="name the file that holds the secret alone")
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"the secret file {path} cannot be read: {reason}"
        raise SecretMissing(message, hint="check path and rights") from None
    if not value:
        message = f"the secret file {path} is empty"
        raise SecretMissing(message, hint="write the secret into it")
    return value


def _keyring(entry: str) -> str:
    service, _, user = entry.rpartition("/")
    try:
        import keyring
        import keyring.errors
    except ImportError:
        message = f"the keyring entry {entry} needs the keyring package"
        raise SecretMissing(message, hint="pip install ferry6003[keyring]") from None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        message = f"the keyring entry {entry} cannot be read: {type(error).__name__}"
        raise SecretMissing(message, hint="unlock the keyring, or use {env: NAME} or {file: PATH}") from None
    if not value:
        message = f"the keyring has no entry {entry}"
        raise SecretMissing(message, hint=f"keyring set {service} {user}")
    return value
