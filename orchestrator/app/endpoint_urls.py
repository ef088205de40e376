"""Endpoints named by URL on the command line: `qemu:///system`, `vsphere://USER@vcenter.example.net/DC?...`,
`simulated:///path/world.json`. A URL never holds a password: it would stay in the shell's history.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointSettings, SettingValue
from orchestrator.model.secret import SecretRef
from orchestrator.model.text import printable
from orchestrator.planfile.draft import slug

FORMS = (
    "write qemu:///system, vsphere://USER@vcenter.example.net/DATACENTER?password_env=VC_PASSWORD "
    "or simulated:///path/world.json"
)
_SECRETS = re.compile(r"passw|pwd|secret|token|credential|^pass$", re.IGNORECASE)
_PLAIN = ("fingerprint", "disk_access")
_REFERENCES = ("password_env", "password_file", "password_keyring", "username_env")
_KNOWN = ("ca_file", *_PLAIN, "tls_verify", *_REFERENCES)
_ELSEWHERE = {
    "http": "for a vCenter write vsphere://USER@SERVER?password_env=VC_PASSWORD",
    "https": "for a vCenter write vsphere://USER@SERVER?password_env=VC_PASSWORD",
    "esx": "name the vCenter: vsphere://USER@SERVER?password_env=VC_PASSWORD",
    "vpx": "name the vCenter: vsphere://USER@SERVER?password_env=VC_PASSWORD",
    "azure": "old servers are looked for on hypervisors, not in Azure",
}


class Asked(Value):
    """An endpoint to search. `folder`: only machines at or below it, as words of the inventory path."""

    settings: EndpointSettings
    folder: tuple[str, ...] = ()


def parse_urls(urls: Iterable[str], taken: Collection[str] = ()) -> tuple[Asked, ...]:
    """Read endpoints, each with a name of its own that is not `taken`; a URL given twice counts once.

    Raises InvalidInput with every URL that is wrong; no message holds a value out of one.
    """
    found: list[Asked] = []
    problems: list[Diagnostic] = []
    for number, url in enumerate(dict.fromkeys(urls), start=1):
        try:
            found.append(_parse(url, number, {asked.settings.name for asked in found}.union(taken)))
        except InvalidInput as error:
            problems += error.diagnostics
    if problems:
        raise InvalidInput(tuple(problems))
    return tuple(found)


def _parse(url: str, number: int, taken: set[str]) -> Asked:
    where = f"URL {number}"
    try:
        parts = urlsplit(url)
        secret = parts.password is not None
        words = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
        _ = parts.port
    except ValueError:
        _refuse(where, "bad-url", "it is no URL", FORMS)
    if secret or any(_SECRETS.search(key) and key not in _REFERENCES for key, _ in words):
        hint = "refer to it: ?password_env=VC_PASSWORD, and change the password: it is in the shell's history"
        _refuse(where, "secret", "a URL must not hold a password", hint)
    if instead := _ELSEWHERE.get(parts.scheme.partition("+")[0]):
        _refuse(where, "scheme", f"{parts.scheme}:// leads to nothing that is searched", instead)
    if parts.scheme == "vsphere":
        return _vsphere(where, parts, dict(words), taken)
    if parts.scheme == "simulated":
        return _simulated(where, parts, taken)
    return _libvirt(where, url, parts, taken)


def _vsphere(where: str, parts: SplitResult, words: Mapping[str, str], taken: set[str]) -> Asked:
    server = parts.hostname
    if not server:
        hint = "vsphere://USER@vcenter.example.net?password_env=VC_PASSWORD"
        _refuse(where, "no-server", "no vCenter is named", hint)
    unknown = sorted(key for key in words if key not in _KNOWN)
    if unknown:
        summary = f"{printable(unknown[0], 60)} is not known here"
        _refuse(where, "unknown-key", summary, f"known are: {', '.join(_KNOWN)}")
    settings: dict[str, SettingValue] = {"server": server}
    if parts.port is not None:
        settings["port"] = parts.port
    settings["username"] = _username(where, parts, words)
    settings["password"] = _password(where, words)
    settings.update({key: words[key] for key in _PLAIN if words.get(key)})
    if words.get("ca_file"):
        settings["ca_file"] = str(Path(words["ca_file"]).absolute())
    if "tls_verify" in words:
        settings["tls_verify"] = _truth(where, words["tls_verify"])
    path = tuple(filter(None, (unquote(word) for word in parts.path.split("/"))))
    if path:
        settings["datacenter"] = path[0]
    name = _free(server if server[0].isdigit() else server.partition(".")[0], taken)
    return Asked(settings=EndpointSettings(name=name, provider="vsphere", settings=settings), folder=path[1:])


def _username(where: str, parts: SplitResult, words: Mapping[str, str]) -> str | SecretRef:
    by_variable = words.get("username_env", "")
    if bool(parts.username) is bool(by_variable):
        summary = "it names two who log in" if by_variable else "it names nobody who logs in"
        _refuse(where, "username", summary, "vsphere://USER@SERVER, or ?username_env=VC_USER")
    return SecretRef(env=by_variable) if by_variable else unquote(parts.username or "")


def _password(where: str, words: Mapping[str, str]) -> SecretRef:
    given = [(kind, words.get(f"password_{kind}", "")) for kind in ("env", "file", "keyring")]
    given = [(kind, value) for kind, value in given if value]
    if len(given) != 1:
        summary = "two passwords are referred to" if given else "no password is referred to"
        hint = "add one of ?password_env=VC_PASSWORD, ?password_file=PATH, ?password_keyring=SERVICE/USER"
        _refuse(where, "password", summary, hint)
    kind, value = given[0]
    return SecretRef.model_validate({kind: str(Path(value).absolute()) if kind == "file" else value})


def _truth(where: str, word: str) -> bool:
    if word not in ("true", "false"):
        _refuse(
            where, "bad-value", "tls_verify is neither true nor false", "leave it away, or name a ca_file"
        )
    return word == "true"


def _simulated(where: str, parts: SplitResult, taken: set[str]) -> Asked:
    if parts.netloc or not parts.path or parts.query:
        _refuse(
            where, "bad-url", "it names no file", "write simulated:///path/world.json, with three strokes"
        )
    path = Path(unquote(parts.path))
    settings = EndpointSettings(
        name=_free(path.stem, taken), provider="simulated", settings={"world": str(path)}
    )
    return Asked(settings=settings)


def _libvirt(where: str, url: str, parts: SplitResult, taken: set[str]) -> Asked:
    if not re.fullmatch(r"[a-z]+(\+[a-z0-9]+)?://\S*", url) or not url.isprintable():
        _refuse(where, "bad-url", "it is no URL of an endpoint", FORMS)
    name = _free(parts.hostname.split(".")[0] if parts.hostname else "kvm", taken)
    return Asked(settings=EndpointSettings(name=name, provider="kvm", settings={"uri": url}))


def _free(wanted: str, taken: set[str]) -> str:
    name = slug(wanted, "endpoint")[:50]
    numbers = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbers) if one not in taken)


def _refuse(where: str, code: str, summary: str, hint: str) -> NoReturn:
    raise InvalidInput((Diagnostic(code, summary, hint, path=where),))
