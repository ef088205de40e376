"""A file server and its replacement, complete and with what was forgotten."""

from __future__ import annotations

from typing import Any

from orchestrator.model.facts import (
    Group,
    Permission,
    Printer,
    Route,
    ServerFacts,
    User,
    Volume,
)
from tests.unit.parity.pairs.bases import GIB, new_server, old_server, rule
from tests.unit.parity.pairs.kit import (
    Pair,
    more,
    roles,
    service,
    share,
    software,
    task,
    with_hosts,
    with_rules,
)


def _files(host: str, drive: str, groups_of: tuple[str, ...]) -> dict[str, Any]:
    return {
        "volumes": (Volume(letter="D:", label="Data", filesystem="NTFS", size=900 * GIB, used=610 * GIB),),
        "shares": (
            share(
                "Projects",
                rf"{drive}\Projects",
                (rf"{host}\ProjectStaff", "change"),
                ("Administrators", "full"),
            ),
            share("Scans", rf"{drive}\Scans", ("Everyone", "change")),
            share("Homes$", rf"{drive}\Homes", ("Authenticated Users", "full")),
        ),
        "users": (
            User(name="scanner", rid=1001, enabled=True),
            User(name="formerclerk", rid=1002, enabled=False),
        ),
        "groups": (Group(name="ProjectStaff", rid=1010, members=groups_of),),
        "tasks": (
            task(
                r"\Branch\MirrorProjects",
                r"robocopy D:\Projects \\NAS7\mirror /MIR",
                rf"{host}\scanner",
                "daily at 22:00",
            ),
        ),
        "software": (software("Meridian Backup Agent", "7.1.2", "Meridian"),),
        "printers": (
            Printer(name="Front desk", driver="HP Universal PCL6", port="198.51.100.60", shared_as="FRONT"),
        ),
    }


def complete_file_server() -> Pair:
    """A file server in a branch, German, with scanners that store by SMB; replaced by 2025."""
    staff = ("scanner", r"CONTOSO\projects")
    old = more(
        old_server("FILE01"),
        **_files("FILE01", "D:", staff),
        roles=roles("File-Services FS-Resource-Manager"),
    )
    old = more(
        old,
        services=(
            service("SrmSvc", r"%SystemRoot%\system32\svchost.exe -k srmsvcs"),
            service("MeridianAgent", r"C:\Program Files\Meridian\agent.exe"),
        ),
    )
    old = with_hosts(
        old, "198.51.100.7 nas7", routes=(Route(destination="192.0.2.0/24", gateway="198.51.100.254"),)
    )
    old = with_rules(
        old, rule("Meridian Agent", local_ports="8443", program=r"%ProgramFiles%\Meridian\agent.exe")
    )
    old = _in_german(old)
    new = more(
        new_server("FILE01N", 26100),
        **_files("FILE01N", "D:", staff),
        roles=roles("FS-Resource-Manager FS-FileServer"),
    )
    new = more(
        new,
        services=(
            service("SrmSvc", r"%SystemRoot%\system32\svchost.exe -k srmsvcs"),
            service("MeridianAgent", r"C:\Program Files\Meridian\agent.exe"),
        ),
    )
    new = with_hosts(
        new, "198.51.100.7 nas7", routes=(Route(destination="192.0.2.0/24", gateway="198.51.100.254"),)
    )
    new = with_rules(
        new, rule("Meridian Agent", local_ports="8443", program=r"C:\Program Files\Meridian\agent.exe")
    )
    return Pair("file-server", 2025, old, new, {})


def _in_german(facts: ServerFacts) -> ServerFacts:
    """The same server, installed in German."""
    names = {
        "Administrators": "Administratoren",
        "Users": "Benutzer",
        "Guests": "Gäste",
        "Backup Operators": "Sicherungs-Operatoren",
    }
    built_in = {"Guest": "Gast"}
    groups = tuple(
        g.model_copy(
            update={
                "name": names.get(g.name, g.name),
                "members": tuple(built_in.get(m, m) for m in g.members),
            }
        )
        for g in facts.groups or ()
    )
    users = tuple(u.model_copy(update={"name": built_in.get(u.name, u.name)}) for u in facts.users or ())
    shares = tuple(
        s.model_copy(
            update={
                "permissions": tuple(
                    p.model_copy(update={"account": _german(p.account)}) for p in s.permissions or ()
                )
            }
        )
        for s in facts.shares or ()
    )
    return facts.model_copy(update={"groups": groups, "users": users, "shares": shares})


def _german(account: str) -> str:
    known = {"Everyone": "Jeder", "Administrators": r"VORDEFINIERT\Administratoren"}
    return known.get(account, account)


def file_server() -> Pair:
    """What was forgotten: a share, a member, a right, room on D:, the mirror's time and a line of hosts."""
    pair = complete_file_server()
    new = pair.new
    shares = tuple(
        s.model_copy(update={"permissions": (Permission(account="Everyone", right="read"),)})
        if s.name == "Scans"
        else s
        for s in new.shares or ()
        if s.name != "Homes$"
    )
    groups = tuple(
        g.model_copy(update={"members": ("scanner",)}) if g.rid == 1010 else g for g in new.groups or ()
    )
    volumes = tuple(
        v.model_copy(update={"size": 500 * GIB, "used": 4 * GIB}) if v.letter == "D:" else v
        for v in new.volumes or ()
    )
    tasks = tuple(
        t.model_copy(update={"triggers": ("daily at 02:00",)}) if "Mirror" in t.path else t
        for t in new.tasks or ()
    )
    assert new.network is not None
    network = new.network.model_copy(update={"hosts": ()})
    changed = {"shares": shares, "groups": groups, "volumes": volumes, "tasks": tasks, "network": network}
    planted = {
        "share:Homes$": "missing",
        "share:Scans": "changed",
        "group:ProjectStaff": "changed",
        "volume:D:": "changed",
        r"task:\Branch\MirrorProjects": "changed",
        "hosts:nas7": "missing",
    }
    return Pair(pair.profile, pair.release, pair.old, new.model_copy(update=changed), planted)
