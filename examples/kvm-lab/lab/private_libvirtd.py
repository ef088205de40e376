"""A private, privileged libvirtd: its own configuration, state, socket and images; the host's network
namespace.

For the lab and for the test rigs. It never touches the system's libvirtd: the daemon runs in a mount
namespace of its own in
which every directory that libvirt writes to lies below one state directory. Bridges and taps are the host's,
so that what it does
to the network can be seen and tested with packets. Only processes that it started are ended, by pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

_NEEDED = ("libvirtd", "qemu-system-x86_64", "qemu-img", "unshare", "mount", "ip")
_MOUNTS = {
    "etc": "/etc/libvirt",
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}
_LIBVIRTD_CONF = """\
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
host_uuid = "{host_uuid}"
"""
# No security driver, cgroups, namespaces or virtlogd: none of them changes what ferry does, and each ties the
# daemon to its host.
_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""
# cli; mov al,0x0f; out 0xf4,al; hlt; jmp $-1: tells a debug-exit device that it runs, then lets its CPU sleep
# for good.
_BOOT_SECTOR = bytes.fromhex("fa b0 0f e6 f4 f4 eb fd").ljust(510, b"\0") + b"\x55\xaa"
_RUNS = (0x0F << 1) | 1


def missing() -> list[str]:
    """Name everything that this machine lacks for a private libvirtd; empty when it can be started."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    lacking = [program for program in _NEEDED if shutil.which(program, path=path) is None]
    if os.geteuid() != 0:
        lacking.append("root rights")
    try:
        import libvirt  # noqa: F401
    except ImportError:
        lacking.append("libvirt-python")
    return lacking


def halting_disk(path: Path, size: int = 8 * 1024**2, *, image_format: str = "qcow2") -> Path:
    """Make a disk image of `size` bytes whose boot sector halts the CPU: a domain that runs and costs
    nothing. Returns `path`."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".raw") as raw:
        raw.write(_BOOT_SECTOR)
        raw.truncate(size)
        raw.flush()
        command = ["qemu-img", "convert", "-f", "raw", "-O", image_format, raw.name, str(path)]
        subprocess.run(command, check=True, timeout=60)
    return path


def domain_type() -> str:
    """Tell which accelerator really runs a guest here: "kvm", else "qemu" (TCG). Tried once per boot, since
    /dev/kvm proves nothing."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache = Path(tempfile.gettempdir()) / f"ferry-domain-type-{os.geteuid()}-{boot}"
    with contextlib.suppress(OSError):
        if cache.stat().st_uid == os.geteuid() and (known := cache.read_text()) in {"kvm", "qemu"}:
            return known
    found = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and _kvm_runs() else "qemu"
    cache.write_text(found)
    return found


def _kvm_runs() -> bool:
    """KVM counts only when it is not far slower than TCG: one that emulates each instruction passes the
    firmware, but boots no kernel."""
    with tempfile.TemporaryDirectory() as folder:
        disk = halting_disk(Path(folder) / "probe.img", image_format="raw")
        plain = _boot_time("tcg", disk, 30)
        fast = _boot_time("kvm", disk, 5)
        return plain is not None and fast is not None and fast < 4 * plain


def _boot_time(accelerator: str, disk: Path, limit: float) -> float | None:
    """Boot the halting disk; seconds until its sector ran, None if it did not within `limit` seconds."""
    command = ["qemu-system-x86_64", "-accel", accelerator, "-m", "16", "-display", "none", "-nodefaults"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"]
    command += ["-drive", f"file={disk},format=raw,if=ide"]
    begun = time.monotonic()
    try:
        done = subprocess.run(command, check=False, timeout=limit, capture_output=True)
    except subprocess.TimeoutExpired:
        return None
    return time.monotonic() - begun if done.returncode == _RUNS else None


class PrivateLibvirtd:
    """One private libvirtd below `state` (default: a new temporary directory).

    As a context manager it is started, and at the end everything it made is removed, the state directory too.
    Or `start()` now, and
    `PrivateLibvirtd(state).remove()` later from another process. Short paths only: `state` holds Unix
    sockets.
    """

    def __init__(self, state: Path | None = None) -> None:
        self.state = state or Path(tempfile.mkdtemp(prefix="ferry-lv-"))
        self._parents: list[subprocess.Popen[bytes]] = []
        self._bridges = 0

    @property
    def uri(self) -> str:
        """The libvirt URI; also for `libvirt.openReadOnly`."""
        return f"qemu+unix:///system?socket={self.state}/run/libvirt-sock"

    @property
    def images(self) -> Path:
        """A directory for disk images, outside of what the daemon owns."""
        return self.state / "images"

    @property
    def log(self) -> Path:
        """The daemon's log file."""
        return self.state / "log" / "libvirtd.log"

    def bridge_name(self) -> str:
        """Return a bridge name that is unused on this host (at most 15 characters)."""
        while True:
            self._bridges += 1
            name = f"fy{self.state.name[-6:].lower().replace('_', 'x').replace('-', 'x')}{self._bridges}"
            if not (Path("/sys/class/net") / name).exists():
                return name

    def start(self, limit: float = 60) -> PrivateLibvirtd:
        """Start the daemon, unless it runs, and wait until it answers (`limit` in seconds). Domains that
        still run are found again."""
        if lacking := missing():
            message = f"a private libvirtd needs: {', '.join(lacking)}"
            raise RuntimeError(message)
        self._lay_out()
        if self._pid() is None:
            (self.state / "daemon.json").unlink(missing_ok=True)
            with (self.state / "daemon.out").open("ab") as out:
                self._parents.append(
                    subprocess.Popen(
                        [sys.executable, __file__, str(self.state), self._script()],
                        stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                        env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"},
                    )
                )  # fmt: skip
        self._await_answer(limit)
        return self

    def stop_daemon(self, *, kill: bool = False, limit: float = 20) -> None:
        """End the daemon only, as an administrator's restart does: running domains stay. `kill` is a
        crash."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
            if not self._gone(limit):
                os.kill(pid, signal.SIGKILL)
                self._gone(limit)
        (self.state / "daemon.json").unlink(missing_ok=True)

    def stop(self) -> None:
        """Remove every domain, network and pool, then end the daemon. Repeatable; works after a crash of the
        daemon too."""
        if not (self.state / "etc").exists():
            return
        self.start()
        self._empty()
        self.stop_daemon()
        for parent in self._parents:
            parent.wait(20)

    def remove(self) -> None:
        """Stop and delete the state directory."""
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self) -> PrivateLibvirtd:
        try:
            return self.start()
        except BaseException:
            self.stop_daemon()
            raise

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _lay_out(self) -> None:
        for name, place in _MOUNTS.items():
            (self.state / name).mkdir(parents=True, exist_ok=True)
            Path(place).mkdir(parents=True, exist_ok=True)
        self.images.mkdir(exist_ok=True)
        conf = self.state / "etc" / "libvirtd.conf"
        if not conf.exists():
            filters = Path("/etc/libvirt/nwfilter")
            if filters.is_dir():
                shutil.copytree(filters, self.state / "etc" / "nwfilter", dirs_exist_ok=True)
            (self.state / "etc" / "qemu.conf").write_text(_QEMU_CONF)
            conf.write_text(_LIBVIRTD_CONF.format(host_uuid=uuid.uuid4()))

    def _script(self) -> str:
        binds = [f"mount --bind {shlex.quote(str(self.state / n))} {place}" for n, place in _MOUNTS.items()]
        options = "-f /etc/libvirt/libvirtd.conf -p /run/libvirt/libvirtd.pid"
        return "\n".join([*binds, f"PATH=$PATH:/usr/sbin:/sbin exec libvirtd {options}"])

    def _await_answer(self, limit: float) -> None:
        until = time.monotonic() + limit
        while True:
            try:
                _connect(self.uri).close()
            except Exception as error:
                ended = self._pid() is None and self._parents[-1:] and self._parents[-1].poll() is not None
                if ended or time.monotonic() > until:
                    message = f"libvirtd does not answer: {error}; {self._last_words()}"
                    raise RuntimeError(message) from error
                time.sleep(0.05)
            else:
                return

    def _last_words(self) -> str:
        files = (f for f in (self.log, self.state / "daemon.out") if f.exists())
        return "\n".join(f.read_text(errors="replace")[-1500:] for f in files)

    def _empty(self) -> None:
        connection = _connect(self.uri)
        try:
            for domain in connection.listAllDomains():
                _quietly(domain.destroy)
                _quietly(domain.undefineFlags, _UNDEFINE_ALL)
            for thing in (*connection.listAllNetworks(), *connection.listAllStoragePools()):
                _quietly(thing.destroy)
                _quietly(thing.undefine)
        finally:
            connection.close()

    def _pid(self) -> int | None:
        """The daemon's pid while that very process lives; a number that was given to another process since is
        not ours."""
        try:
            record = json.loads((self.state / "daemon.json").read_text())
        except FileNotFoundError:
            return None
        started = _started(record["pid"])
        return record["pid"] if started is not None and started == record["started"] else None

    def _gone(self, limit: float) -> bool:
        until = time.monotonic() + limit
        while self._pid() is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True


_UNDEFINE_ALL = 1 | 2 | 4 | 16
"""VIR_DOMAIN_UNDEFINE_MANAGED_SAVE, _SNAPSHOTS_METADATA, _NVRAM, _CHECKPOINTS_METADATA."""


def _connect(uri: str) -> Any:
    import libvirt

    libvirt.registerErrorHandler(lambda *_: None, None)
    return libvirt.open(uri)


def _quietly(call: Any, *args: Any) -> None:
    """A thing that is off, or gone, already is as well cleaned as one that was just removed."""
    with contextlib.suppress(Exception):
        call(*args)


def _be_parent(state: Path, script: str) -> None:
    """Start the daemon and wait for it and for every QEMU that it leaves behind.

    Where nobody reaps orphans at once, libvirt takes two seconds to see that a QEMU has ended.
    """
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    command = ["unshare", "--mount", "--propagation", _propagation(), "sh", "-ec", script]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    record = json.dumps({"pid": child.pid, "started": _started(child.pid)})
    (state / "daemon.new").write_text(record)
    (state / "daemon.new").rename(state / "daemon.json")
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    child.returncode = 0  # reaped above


def _propagation() -> str:
    """In a plain chroot "/" is no mount point, and its propagation cannot be set."""
    return "private" if os.path.ismount("/") and _root_is_mounted() else "unchanged"


def _root_is_mounted() -> bool:
    return any(line.split()[4] == "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot: with the pid it names one process for good. A zombie
    counts as gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


if __name__ == "__main__":
    _be_parent(Path(sys.argv[1]), sys.argv[2])
