"""A private PostgreSQL server for tests: own data folder, free loopback port, a made-up password, gone at the
end.

Never uses a server that was already there. PostgreSQL refuses to run as root: then it runs as the user
"postgres".
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
OPTIONS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=300")


def missing() -> str | None:
    """Say what is missing to start a server, or None."""
    return None if BINARIES else "PostgreSQL is not installed (apt-get install postgresql)"


class Postgres:
    """A running server; `database()` makes an empty database and returns its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._password = secrets.token_hex(8)
        self._numbers = itertools.count()
        self.port = _free_port()

    def start(self) -> None:
        pwfile = self._folder / "pw"
        pwfile.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._folder, pwfile):
                shutil.chown(path, "postgres", "postgres")
        data = str(self._folder / "data")
        self._call(
            "initdb", "-D", data, "-U", "ferry", "-A", "scram-sha-256", f"--pwfile={pwfile}",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        options = [part for option in (*OPTIONS, f"port={self.port}") for part in ("-c", option)]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [*_as_postgres(), str(BINARIES[-1] / "postgres"), "-D", data, *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
            )  # fmt: skip
        self._await()

    def stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def database(self) -> str:
        name = f"ferry{next(self._numbers)}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name).replace("+psycopg", "")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://ferry:{self._password}@127.0.0.1:{self.port}/{database}"

    def _await(self) -> None:
        engine = sa.create_engine(self._url("postgres"))
        end = time.monotonic() + 30
        while True:
            try:
                engine.connect().close()
                break
            except OperationalError:
                assert self._server.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < end, "PostgreSQL did not come up"
                time.sleep(0.1)
        engine.dispose()

    def _call(self, program: str, *arguments: str) -> None:
        command = [*_as_postgres(), str(BINARIES[-1] / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stderr


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server, stop it and remove its files at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ferry-pg-"))
    server = Postgres(folder)
    try:
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
