"""Settings are checked without connecting, and a missing SDK is said in so many words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.secret import SecretRef
from providers.kvm import provider


def problems(**settings: object) -> list[str]:
    endpoint = EndpointSettings(name="lab", provider="kvm", settings=settings)
    return [str(problem) for problem in provider.check_settings(endpoint)]


def test_sound_settings_have_no_problem() -> None:
    assert problems(uri="qemu:///system") == []
    assert problems(uri="qemu+ssh://root@host/system", images="/srv/golden", domain_type="kvm") == []


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "no libvirt URI"),
        ({"uri": "xen:///system"}, "no URI of libvirt's QEMU driver"),
        ({"uri": SecretRef(env="X")}, "no libvirt URI"),
        ({"uri": "qemu:///system", "image": "/x"}, "did you mean images?"),
        ({"uri": "qemu:///system", "zzz": "/x"}, "known are: uri, images, domain_type"),
        ({"uri": "qemu:///system", "images": "golden"}, "not an absolute path"),
        ({"uri": "qemu:///system", "domain_type": "xen"}, "write one of: kvm, qemu"),
    ],
)
def test_wrong_setting_is_named_with_what_to_write(settings: dict[str, object], part: str) -> None:
    (problem,) = problems(**settings)
    assert part in problem
    assert problem.startswith("endpoints.lab.")


def test_wrong_settings_are_not_opened() -> None:
    endpoint = EndpointSettings(name="lab", provider="kvm", settings={"uri": "xen:///"})
    with pytest.raises(ProviderError, match="QEMU driver"):
        provider.open_reader(endpoint, str)


def test_missing_sdk_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['libvirt'] = None\n"
        "from providers.kvm import provider\n"
        "from orchestrator.model.endpoint import EndpointSettings\n"
        "endpoint = EndpointSettings(name='lab', provider='kvm', settings={'uri': 'qemu:///system'})\n"
        "try:\n    provider.open(endpoint, str)\n"
        "except Exception as error:\n    print(error.kind, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ErrorKind.UNSUPPORTED in done.stdout
    assert "pip install ferry6003[kvm]" in done.stdout
