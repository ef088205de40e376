"""What leaves this repository: the wheel's content and the pins that it is installed with."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of all files in a wheel that is built from this tree, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_installs_exactly_two_packages(wheel_names: list[str]) -> None:
    version = PROJECT["project"]["version"]
    tops = {name.split("/")[0] for name in wheel_names}
    assert tops == {"orchestrator", "providers", f"ferry6003-{version}.dist-info"}


def test_wheel_holds_every_module(wheel_names: list[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "orchestrator", "providers"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) <= set(wheel_names)


def test_wheel_holds_no_plan_files_tests_or_caches(wheel_names: list[str]) -> None:
    unwanted = re.compile(r"(^|/)(plans|tests|examples|__pycache__)/|\.(pyc|sqlite|qcow2)$")
    assert [name for name in wheel_names if unwanted.search(name)] == []


def pins() -> dict[str, str]:
    """Entry of each pinned distribution in constraints.txt (its line and its hashes), by canonical name."""
    entries = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / "constraints.txt").read_text())[1:]
    return {canonicalize_name(entry.split("==")[0]): entry for entry in entries}


def test_every_pin_has_a_hash() -> None:
    assert [
        name for name, entry in pins().items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)
    ] == []


def test_pins_satisfy_every_requirement() -> None:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    wanted += [line for extra in project["optional-dependencies"].values() for line in extra]
    pinned = {name: re.split(r"[ ;\\\n]", entry)[0].split("==")[1] for name, entry in pins().items()}
    unmet = []
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or version not in requirement.specifier:
            unmet.append(f"{requirement} (pinned: {version})")
    assert unmet == []


def test_constraints_name_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
