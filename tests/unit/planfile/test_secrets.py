"""Secrets in clear are refused and never repeated."""

import pytest

from tests.unit.planfile.conftest import Check

SECRET = "Corr3ct-Horse"


@pytest.mark.parametrize(
    "line",
    [
        f"password: {SECRET}",
        f"Admin_Passwd: {SECRET}",
        f"api-key: {SECRET}",
        f"clientSecret: [{SECRET}]",
        f'note: "postgresql://me:{SECRET}@db/x"',
        f'note: "https://x.example.net/?a=1&sig={SECRET}"',
        f'note: "Server=db;Password={SECRET};"',
        f"note: '-----BEGIN EC PRIVATE KEY----- {SECRET}'",
        f"deep: {{x: [{{token: {SECRET}}}]}}",
        f"password: &p {SECRET}\nnote: *p",
        f"password: {SECRET}\nchange: {{risk: {SECRET}}}",
        f"password: {SECRET}\nwaves: [{SECRET}, {SECRET}]",
        f"admin_password: {{env: '{SECRET} {SECRET}'}}\npassword: {SECRET}",
    ],
)
def test_refused_and_not_repeated(check: Check, good: str, line: str) -> None:
    plan, problems = check(f"{good}{line}\n")
    assert plan is None
    assert "secret" in [p.code for p in problems]
    assert SECRET not in repr(problems)


def test_a_secret_in_a_reference_of_the_wrong_shape_is_not_repeated(check: Check, good: str) -> None:
    for wrong in (f"{{env: {SECRET}}}", f"{{keyring: {SECRET}}}"):
        plan, problems = check(good.replace("{env: STAGING_ADMIN}", wrong))
        assert plan is None
        assert SECRET not in repr(problems)


@pytest.mark.parametrize(
    "line",
    [
        'change: {reason: "see https://wiki.example.net/a:b@c"}',
        'change: {reason: "ask for the password at the desk"}',
        'change: {reason: "-----BEGIN CERTIFICATE-----"}',
    ],
)
def test_what_is_no_secret_is_not_refused(check: Check, good: str, line: str) -> None:
    assert check(f"{good}{line}\n")[0] is not None
