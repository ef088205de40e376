"""The rule that a skip is a failure, tried on a suite of its own in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIP_IN_BODY = "import pytest\ndef test_x():\n    pytest.skip('no qemu-nbd here')\n"
SKIP_BY_MARK = (
    "import pytest\n@pytest.mark.skipif(True, reason='no qemu-nbd here')\ndef test_x():\n    pass\n"
)
SKIP_MODULE = "import pytest\npytest.skip('no qemu-nbd here', allow_module_level=True)\n"
XFAIL = "import pytest\n@pytest.mark.xfail\ndef test_x():\n    assert False\n"


def run_suite(folder: Path, text: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(text)
    clean = {k: v for k, v in os.environ.items() if k not in {"CI", "PYTEST_ADDOPTS"}}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options]
    return subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("text", [SKIP_IN_BODY, SKIP_BY_MARK, SKIP_MODULE])
def test_skip_fails_and_names_what_is_missing(tmp_path: Path, text: str) -> None:
    result = run_suite(tmp_path, text, "--require-all")
    assert result.returncode != 0
    assert "no qemu-nbd here" in result.stdout


def test_ci_requires_all_by_itself(tmp_path: Path) -> None:
    assert run_suite(tmp_path, SKIP_IN_BODY, CI="true").returncode == 1


def test_skip_is_allowed_elsewhere(tmp_path: Path) -> None:
    assert run_suite(tmp_path, SKIP_IN_BODY).returncode == 0


def test_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run_suite(tmp_path, XFAIL, "--require-all").returncode == 0
