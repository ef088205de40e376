"""The vSphere lab's story: a simulated vCenter, the main job on it, the run taken back, everything removed.

`./lab start|stop|demo|undo|clean` from examples/vsphere-lab. It is the twin of examples/kvm-lab on a
*simulator*: nothing here was tested on a vCenter. What the story knows from one command to the next stands in
`.lab-vsphere/` of the project (FERRY_VSPHERE_LAB_HOME). It acts only through the `ferry` command, as a person
would, and looks with govc.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lab.programs import LabError
from lab.teller import Teller, say

from vlab.places import ADMIN_PASSWORD, IMAGES, PASSWORD
from vlab.vcenter import VCenter
from vlab.world import raw_images

PROJECT = Path(__file__).resolve().parents[3]
HOME = Path(os.environ.get("FERRY_VSPHERE_LAB_HOME", PROJECT / ".lab-vsphere"))
HOSTS = ("FILE01", "APP02")
_HERE = Path(__file__).resolve().parents[1]
_NOTE = "This is a simulator (govmomi's, extended); ferry was not tested on a vCenter by it."


def main(arguments: list[str]) -> int:
    """Run one act of the story; 0 done, 1 failed, 2 wrong argument."""
    acts = {"start": start, "stop": stop, "demo": demo, "undo": undo, "clean": clean}
    if len(arguments) != 1 or arguments[0] not in acts:
        sys.stderr.write(f"usage: lab {'|'.join(acts)}\n")
        return 2
    try:
        acts[arguments[0]]()
    except LabError as problem:
        sys.stderr.write(f"lab: {problem}\n")
        return 1
    return 0


def start() -> None:
    """Start the simulated vCenter with the lab's servers in it, and say how to reach it."""
    vcenter = _started()
    say(f"The simulated vCenter listens at {vcenter.facts['url']} until `lab stop`. {_NOTE}")
    say("For ferry and govc in this shell:")
    for name, value in _own(vcenter).items():
        say(f"  export {name}={_shell_word(name, value, vcenter)}")
    say(f"The plan file: {_write_plan(vcenter)}")


def stop() -> None:
    """End the simulated vCenter. What it held is gone with it: a run there can no longer be undone."""
    vcenter = VCenter.running(HOME)
    if vcenter is None:
        say("No simulated vCenter of this lab runs.")
        return
    vcenter.stop()
    for path in (*HOME.glob("run*"), *HOME.glob("state.db*"), HOME / "cs.json"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    say("The simulated vCenter has ended.")


def demo() -> None:
    """Start the lab and run the main job on it."""
    vcenter = _started()
    say(f"vCenter: {vcenter.facts['url']} (simulated, stays up until `lab stop`). {_NOTE}")
    teller = Teller(_own(vcenter))
    if (HOME / "run").exists():
        say(f"The main job has run already: {_run()}.")
        say("`undo` takes it back, `clean` removes the lab.")
        _show(teller)
        return
    plan, changes = _write_plan(vcenter), HOME / "cs.json"
    _show(teller)
    teller.ferry("doctor", plan)
    teller.ferry("discover", "--plan", plan, "--all")
    teller.ferry("plan", "validate", plan)
    teller.ferry("plan", "preview", plan, "-o", changes, "--report", HOME / "report-before")
    teller.ferry("plan", "approve", changes, "--as", "lab-board")
    teller.ferry("plan", "apply", changes)
    (HOME / "run").write_text(str(teller.ferry_json("run", "list")["runs"][0]["run"]), encoding="utf-8")
    for host in HOSTS:
        teller.ferry("parity", _run(), "--host", host, gate=True)
    teller.ferry("report", _run(), "-f", "html,text,json", "-o", HOME / "report-after")
    _show(teller)
    say(f"The board's report after the run: {HOME / 'report-after' / 'report.html'}")
    say("`undo` takes the run back, `clean` removes the lab.")


def undo() -> None:
    """Take the run back."""
    vcenter = VCenter.running(HOME)
    if vcenter is None or not (HOME / "run").exists():
        message = "there is no run to take back; `demo` makes one"
        raise LabError(message)
    teller = Teller(_own(vcenter))
    teller.ferry("plan", "undo", _run(), "--delete-disks")
    (HOME / "run").rename(HOME / "run-undone")
    _show(teller)


def clean() -> None:
    """Remove the lab: the simulated vCenter with all that it holds, images and records."""
    vcenter = VCenter.running(HOME)
    if vcenter is not None:
        vcenter.stop()
    shutil.rmtree(HOME, ignore_errors=True)
    say("The lab is gone.")


def _started() -> VCenter:
    """Return the running vCenter, started with all that it needs if it does not run yet."""
    found = VCenter.running(HOME)
    if found is not None:
        return found
    HOME.mkdir(exist_ok=True)
    if subprocess.run([PROJECT / ".ci" / "go"], check=False, timeout=600).returncode != 0:
        message = "the simulator is a Go program, and there is no Go; see above"
        raise LabError(message)
    say("Building disk images (no Windows media: these guests do not boot Windows) ...")
    raw_images(HOME / IMAGES)
    say("Starting the simulated vCenter (the first time it is built, that takes a minute) ...")
    return VCenter.start(HOME)


def _write_plan(vcenter: VCenter) -> Path:
    """Fill in where the simulated vCenter listens."""
    text = (_HERE / "plan.yaml").read_text(encoding="utf-8")
    for key in ("server", "port", "username", "ca_file"):
        text = text.replace(f"@{key.upper()}@", str(vcenter.facts[key]))
    plan = HOME / "plan.yaml"
    plan.write_text(text, encoding="utf-8")
    return plan


def _own(vcenter: VCenter) -> dict[str, str]:
    """The environment of ferry and govc: a state of the lab's own, made passwords that open nothing else."""
    return {
        "FERRY_STATE": f"sqlite:///{_home('state.db')}",
        "LAB_VC_PASSWORD": vcenter.secret(PASSWORD),
        "LAB_ADMIN_PASSWORD": vcenter.secret(ADMIN_PASSWORD),
        **vcenter.govc_environment(),
        "PATH": f"{Path(vcenter.facts['govc']).parent}:{os.environ['PATH']}",
    }


def _show(teller: Teller) -> None:
    """Show the world as govc sees it."""
    commands = ["ls -l vm/Branch", "ls -l network"]
    for host in HOSTS:
        commands += [f"device.info -vm {host} ethernet-*", f"snapshot.tree -vm {host} -D"]
    teller.show(*(["govc", *command.split()] for command in commands))


def _shell_word(name: str, value: str, vcenter: VCenter) -> str:
    """A value as a shell reads it; a password stays in its file."""
    if name.endswith("PASSWORD"):
        file = ADMIN_PASSWORD if value == vcenter.secret(ADMIN_PASSWORD) else PASSWORD
        return f'"$(cat {shlex.quote(str(_home(file)))})"'
    if name == "PATH":
        return f'{shlex.quote(str(Path(vcenter.facts["govc"]).parent))}:"$PATH"'
    return shlex.quote(value)


def _home(name: str) -> Path:
    return HOME / name


def _run() -> str:
    """Return the id of the story's run."""
    return (HOME / "run").read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
