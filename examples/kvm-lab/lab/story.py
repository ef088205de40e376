"""The lab's story: build it, run the main job on it, take the run back, remove everything.

`python -m lab.story demo|undo|clean` from examples/kvm-lab; the Makefile does that. What the story knows
from one command to the next stands in `.lab/` of the project (FERRY_LAB_HOME). It acts only on domains and
networks whose names begin with PREFIX, and only through libvirt and the `ferry` command, as a person would.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab.hypervisor import PREFIX, Hypervisor
from lab.images import build
from lab.private_libvirtd import domain_type
from lab.programs import LabError
from lab.teller import Teller, say

PROJECT = Path(__file__).resolve().parents[3]
HOME = Path(os.environ.get("FERRY_LAB_HOME", PROJECT / ".lab"))
HOSTS = {"FILE01": "file01", "APP02": "app02"}
GOLDEN = ("win2022-golden", "win2025-golden")
# The lab's state is its own; the password is a made one that opens nothing.
TELLER = Teller({"FERRY_STATE": f"sqlite:///{HOME / 'state.db'}", "LAB_ADMIN_PASSWORD": "Lab-only-9f3c!"})


def main(arguments: list[str]) -> int:
    """Run one act of the story; 0 done, 1 failed, 2 wrong argument."""
    acts = {"demo": demo, "undo": undo, "clean": clean}
    if len(arguments) != 1 or arguments[0] not in acts:
        sys.stderr.write("usage: python -m lab.story demo|undo|clean\n")
        return 2
    try:
        acts[arguments[0]]()
    except LabError as problem:
        sys.stderr.write(f"lab: {problem}\n")
        return 1
    return 0


def demo() -> None:
    """Build the lab and run the main job on it."""
    HOME.mkdir(exist_ok=True)
    hypervisor = Hypervisor.find_or_start(HOME)
    say(f"libvirt: {hypervisor.uri} ({hypervisor.origin})")
    if (HOME / "run").exists():
        say(f"The main job has run already: {run_id()}.")
        say("`make demo-undo` takes it back, `make demo-clean` removes the lab.")
        show(hypervisor)
        return
    prepare(hypervisor)
    plan = write_plan(hypervisor)
    changes = HOME / "cs.json"
    TELLER.ferry("plan", "validate", plan)
    TELLER.ferry("plan", "preview", plan, "-o", changes, "--report", HOME / "report-before")
    TELLER.ferry("plan", "approve", changes, "--as", "lab-board")
    TELLER.ferry("plan", "apply", changes)
    runs = TELLER.ferry_json("run", "list")["runs"]
    (HOME / "run").write_text(str(runs[0]["run"]))
    for host in HOSTS:
        TELLER.ferry("parity", run_id(), "--host", host, gate=True)
    TELLER.ferry("report", run_id(), "-f", "html,text,json", "-o", HOME / "report-after")
    show(hypervisor)
    say(f"The board's report after the run: {HOME / 'report-after' / 'report.html'}")
    say("`make demo-undo` takes the run back, `make demo-clean` removes the lab.")


def undo() -> None:
    """Take the run back."""
    if not (HOME / "run").exists():
        message = "there is no run to take back; `make demo` makes one"
        raise LabError(message)
    hypervisor = Hypervisor.find_or_start(HOME)
    TELLER.ferry("plan", "undo", run_id(), "--delete-disks")
    (HOME / "run").rename(HOME / "run-undone")
    show(hypervisor)


def clean() -> None:
    """Remove the lab: its domains, networks, images, the libvirtd that it started, and its records."""
    if HOME.exists():
        Hypervisor.find_or_start(HOME).remove()
        shutil.rmtree(HOME)
    say("The lab is gone.")


def prepare(hypervisor: Hypervisor) -> None:
    """Build images where they are not there yet, define and start the legacy domains."""
    say("Building disk images (no Windows media: these guests do not boot Windows) ...")
    for name in GOLDEN:
        build(name, hypervisor.images)
    hypervisor.ensure_office()
    for image in HOSTS.values():
        disk = hypervisor.images / f"{PREFIX}{image}.qcow2"
        if not disk.exists():
            shutil.copyfile(build(image, HOME / "images"), disk)
        definition = hypervisor.ensure_legacy(f"{PREFIX}{image}", disk)
        (HOME / f"{image}-before.xml").write_text(definition, encoding="utf-8")
    show(hypervisor)


def write_plan(hypervisor: Hypervisor) -> Path:
    """Fill the lab's URI and folder into the plan file."""
    text = (PROJECT / "examples/kvm-lab/plan.yaml").read_text(encoding="utf-8")
    facts = {"@URI@": hypervisor.uri, "@IMAGES@": str(hypervisor.images), "@TYPE@": domain_type()}
    for mark, value in facts.items():
        text = text.replace(mark, value)
    plan = HOME / "plan.yaml"
    plan.write_text(text, encoding="utf-8")
    return plan


def run_id() -> str:
    """Return the id of the story's run."""
    return (HOME / "run").read_text(encoding="utf-8").strip()


def show(hypervisor: Hypervisor) -> None:
    """Show the world as virsh does."""
    TELLER.show(*hypervisor.views())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
