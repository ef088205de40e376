"""The commands of examples/simulated/README.md, run as they stand there (but for set-up and folders)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def commands() -> list[str]:
    readme = (PROJECT / "examples/simulated/README.md").read_text(encoding="utf-8")
    block = re.search(r"```console\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    lines = [line[2:].split("     # ")[0] for line in block[1].splitlines() if line.startswith("$ ")]
    return [line for line in lines if "make setup" not in line]


def test_the_readme_story_runs(tmp_path: Path) -> None:
    script = "\n".join(["set -e", *commands()]).replace("/tmp/ferry-sim", str(tmp_path / "sim"))
    script = script.replace("examples/", f"{PROJECT}/examples/").replace(" plans/", f" {PROJECT}/plans/")
    own = {
        "FERRY_STATE": f"sqlite:///{tmp_path}/state.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=os.environ | own, text=True, capture_output=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[all] FILE01 done" in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()
    assert "a-password" not in done.stdout + done.stderr + (tmp_path / "cs.json").read_text()
