"""IIS, and the certificates of the machine."""

from datetime import date

from orchestrator.model.base import Value


class Certificate(Value):
    """One of the machine's own certificates (store My). `thumbprint`: SHA-1, 40 hex digits in upper case."""

    thumbprint: str
    subject: str
    issuer: str
    not_after: date | None
    names: tuple[str, ...] = ()
    """DNS names that it is for."""
    private_key: bool | None = None


class Binding(Value):
    """Where a site listens: "http", "*:80:www.example". `certificate`: a thumbprint; "" for none or
    unknown."""

    protocol: str
    information: str
    certificate: str = ""


class Application(Value):
    """An application of a site, with its root's folder."""

    path: str
    pool: str
    folder: str


class Site(Value):
    """One web or FTP site."""

    name: str
    id: int
    autostart: bool
    bindings: tuple[Binding, ...]
    applications: tuple[Application, ...]


class Pool(Value):
    """One application pool. `identity` is an account type or name; never a password."""

    name: str
    runtime: str
    """"v2.0", "v4.0", "" for no managed code."""
    pipeline: str
    identity: str
    enable_32_bit: bool


class Iis(Value):
    """The web server's configuration."""

    sites: tuple[Site, ...]
    pools: tuple[Pool, ...]
