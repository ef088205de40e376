"""Names are compared as Windows does, and products found again under another version."""

from __future__ import annotations

import pytest

from orchestrator.parity.names import product_name, version_numbers, windows_key


@pytest.mark.parametrize(("one", "other"), [("LanmanServer", "lanmanserver"), ("PROJEKTE-Ä", "projekte-ä")])
def test_case_does_not_tell_names_apart(one: str, other: str) -> None:
    assert windows_key(one) == windows_key(other)


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("ı", "I"), ("\ufb01", "FI")])  # noqa: RUF001
def test_what_windows_takes_for_two_names_stays_two(one: str, other: str) -> None:
    assert windows_key(one) != windows_key(other)


@pytest.mark.parametrize(
    ("name", "version", "product"),
    [
        ("7-Zip 23.01 (x64)", "23.01", "7-zip"),
        ("7-Zip 9.20", "9.20.00.0", "7-zip"),
        ("7-Zip 9.20 (x64 edition)", "", "7-zip"),
        ("Notepad++ (64-bit x64)", "8.6", "notepad++"),
        ("Contoso Agent 7", "7", "contoso agent"),
        ("Contoso Agent 7", "6.1", "contoso agent 7"),
        (
            "Microsoft Visual C++ 2008 Redistributable - x86 9.0.30729.17",
            "9",
            "microsoft visual c++ 2008 redistributable",
        ),
        ("Microsoft SQL Server 2008 R2 (64-bit)", "", "microsoft sql server 2008 r2"),
        ("Windows Resource(R) Kit\u00ae version 2.0", "", "windows resource kit"),
        ("1.2.3", "", "1.2.3"),
    ],
)
def test_product_is_the_name_without_version_and_architecture(name: str, version: str, product: str) -> None:
    assert product_name(name, version) == product


def test_versions_compare_by_number() -> None:
    assert version_numbers("9.20") < version_numbers("23.01.00")  # type: ignore[operator]
    assert version_numbers("1.0") == version_numbers("1")
    assert version_numbers("beta") is None
