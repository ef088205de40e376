"""Starts the vSphere rig tests/rigs/vcsim: a simulated vCenter as a child process, with a CA of its own.

    with vcsim(tmp_path, machines=2) as site:
        site.control("machine", name="web01", disks=[{"size": 1 << 20}], running=True)

The Go program is built once per content of its sources. Without Go the test that asks for it is skipped by
name. The process ends with the `with` block, and also when the test process dies (its stdin closes).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import secrets
import select
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from tests.rigs.certificates import Authority

SOURCES = Path(__file__).parent / "vcsim"
_CHOSEN = Path(__file__).resolve().parents[2] / ".cache" / "go" / "bin"
USER = "administrator@vsphere.local"
START_SECONDS = 60
"""And a twentieth of a second for every machine of the inventory."""
KEPT_BUILDS = 8
GOVC = "github.com/vmware/govmomi/govc@v0.46.3"
"""The newest govc that one can install by itself: later ones are a module that replaces its own parts. It is
independent of our Python and of the simulator's version."""


class ControlError(Exception):
    """The rig refused what a test asked of its control port."""


def go() -> str:
    """Return the Go compiler, or skip the test."""
    # What .ci/go has chosen comes first: the one on PATH may be too old.
    found = shutil.which("go", path=str(_CHOSEN)) or shutil.which("go")
    found = found or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        pytest.skip("the vSphere rig needs Go 1.23 or newer: .ci/go finds or fetches one")
    return found


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    with contextlib.suppress(OSError):
        base.mkdir(parents=True, exist_ok=True)
    if not os.access(base, os.W_OK):
        base = Path(tempfile.gettempdir())
    return base / "ferry-tests"


def _run_go(*args: str, folder: Path, **env: str) -> None:
    done = subprocess.run(
        [go(), *args], cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"go {' '.join(args)}:\n{done.stdout}{done.stderr}", pytrace=False)


def built() -> Path:
    """Return the rig's program, built from the sources as they are now."""
    content = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum"]):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    program = _cache() / f"vcsim-ferry-{content.hexdigest()[:24]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        _run_go("build", "-buildvcs=false", "-o", str(fresh), ".", folder=SOURCES)
        fresh.replace(program)
        _forget_old(program.parent)
    return program


def _forget_old(folder: Path) -> None:
    """Delete all builds but the newest; a process that still runs one keeps it."""
    builds = sorted(folder.glob("vcsim-ferry-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[KEPT_BUILDS:]:
        path.unlink(missing_ok=True)


def govc() -> Path:
    """Return VMware's command line client, the tests' independent second opinion on a site's state."""
    folder = _cache() / GOVC.rpartition("@")[2]
    program = folder / "govc"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            _run_go("install", "-buildvcs=false", GOVC, folder=folder, GOBIN=fresh, GOFLAGS="")
            (Path(fresh) / "govc").replace(program)
    return program


def _fingerprint(chain: Path) -> str:
    """Return the SHA-256 of a chain's first certificate."""
    end = "-----END CERTIFICATE-----"
    leaf = chain.read_text().partition(end)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()


class Vcsim:
    """One running simulated vCenter; see the README beside its sources for the controls."""

    def __init__(
        self,
        folder: Path,
        *,
        datacenters: int = 1,
        clusters: int = 1,
        hosts: int = 2,
        machines: int = 0,
        portgroups: int = 2,
        datastores: int = 1,
        pools: int = 0,
        dvs: bool = True,
        api: str = "",
    ) -> None:
        """Prepare a site in an existing folder. `machines` are per cluster, `hosts` are per cluster too.

        `api` is the version of the API that the site tells, "7.0.3.0"; the simulator's own is "6.5".
        """
        self.folder = folder
        self.user = USER
        self.password = secrets.token_urlsafe(12)
        authority = Authority(folder)
        self.ca_file = authority.file
        self._chain, self._key = authority.server("127.0.0.1")
        self.fingerprint = _fingerprint(self._chain)
        """SHA-256 of the server's certificate, 64 hexadecimal digits."""
        self.log = folder / "vcsim.log"
        (folder / "work").mkdir()
        self._inventory = {
            "datacenters": datacenters,
            "clusters": clusters,
            "hosts": hosts,
            "machines": machines,
            "portgroups": portgroups,
            "datastores": datastores,
            "pools": pools,
        }
        self._dvs, self._api = dvs, api
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self._control = ""
        self._connections: list[vim.ServiceInstance] = []

    def start(self) -> Self:
        """Start the process and wait for its line."""
        program = built()
        config = self.folder / "config.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps(self._config()))
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [program, "-config", config],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        limit = START_SECONDS + self._inventory["machines"] * self._inventory["clusters"] / 20
        ready, _, _ = select.select([self._process.stdout], [], [], limit)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            pytest.fail(f"the vSphere rig did not start:\n{self.log.read_text()[-4000:]}", pytrace=False)
        answer = json.loads(line)
        assert answer["pid"] == self._process.pid
        self.url, self._control = answer["url"], urlsplit(answer["control"]).netloc
        return self

    def _config(self) -> dict[str, object]:
        return {
            "chain": str(self._chain),
            "key": str(self._key),
            "user": self.user,
            "password": self.password,
            "work": str(self.folder / "work"),
            "inventory": self._inventory,
            "dvs": self._dvs,
            "api": self._api,
        }

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def server(self) -> str:
        """The address without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of the API."""
        return urlsplit(self.url).port or 0

    def control(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Call the control port and return its answer.

        Raises:
            ControlError: the rig refused; with its reason.
        """
        connection = http.client.HTTPConnection(self._control, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", f"/{name}", json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            answer: dict[str, Any] = json.load(reply)
        if reply.status != http.client.OK:
            message = f"{name}: {answer['error']}"
            raise ControlError(message)
        return answer

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this site's CA only."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def connect(self) -> vim.ServiceInstance:
        """Return a plain pyvmomi connection for the rig's own use; it ends with the site."""
        instance = SmartConnect(
            host=self.server, port=self.port, user=self.user, pwd=self.password, sslContext=self.context()
        )
        self._connections.append(instance)
        return instance

    def govc_env(self) -> Mapping[str, str]:
        """Return the environment in which govc talks to this site and keeps nothing in the home folder."""
        home = self.folder / "govc"
        return {
            "GOVC_URL": self.url,
            "GOVC_USERNAME": self.user,
            "GOVC_PASSWORD": self.password,
            "GOVC_TLS_CA_CERTS": str(self.ca_file),
            "GOVC_PERSIST_SESSION": "false",
            "GOVMOMI_HOME": str(home),
            "HOME": str(home),
            "PATH": os.environ.get("PATH", ""),
        }

    def govc(self, *args: str) -> str:
        """Run govc and return what it prints."""
        done = subprocess.run(
            [govc(), *args], env=dict(self.govc_env()), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"govc {' '.join(args)}: {done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """End the process; its datastores go with it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            for instance in self._connections:
                with contextlib.suppress(Exception):  # an expired session cannot log out, and need not
                    Disconnect(instance)
            process.terminate()
        with process:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def vcsim(folder: Path, **options: Any) -> Iterator[Vcsim]:
    """Run a simulated vCenter in an existing folder for the length of a `with` block. Options: see Vcsim."""
    with Vcsim(folder, **options) as site:
        yield site
