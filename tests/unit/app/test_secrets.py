"""Secrets come from where the plan says, at the moment of use, and stand in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.secrets import SecretMissing, resolve
from orchestrator.model.secret import SecretRef


def test_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_PW", "hush")
    assert resolve(SecretRef(env="SITE_PW")) == "hush"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SITE_PW", raising=False)
    if value is not None:
        monkeypatch.setenv("SITE_PW", value)
    with pytest.raises(SecretMissing, match="SITE_PW"):
        resolve(SecretRef(env="SITE_PW"))


def test_a_file_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_bytes(b" hush hush \r\n")
    assert resolve(SecretRef(file=str(path))) == " hush hush "


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_bad_file_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pw"
    path.write_bytes(content)
    with pytest.raises(SecretMissing, match=str(path)) as caught:
        resolve(SecretRef(file=str(path)))
    assert "xxxx" not in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SecretMissing, match="/nonexistent/pw"):
        resolve(SecretRef(file="/nonexistent/pw"))


def test_a_keyring_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring

    entries = {("ferry", "app07n"): "hush"}
    monkeypatch.setattr(keyring, "get_password", lambda service, user: entries.get((service, user)))
    assert resolve(SecretRef(keyring="ferry/app07n")) == "hush"
    with pytest.raises(SecretMissing, match="ferry/other"):
        resolve(SecretRef(keyring="ferry/other"))
