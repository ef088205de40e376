"""Snapshot, cut off, prove, on a simulated vCenter: against what one would write by hand.

It is a *simulator* on the same machine (govmomi's, extended): the figures compare programs, they do not say
how long a vCenter takes. Latency is added to each call by the simulator's front.

Cases "adapter alone", peer `minimal` (required: at most 1.3): ours opens one Adapter of provider vsphere
and finds all machines in one listing, as the peer does, and carries out through the contract, eight
machines at once, what the engine's steps call for each (`isolating.isolate_all`). Rows of unit `calls` say
how many calls reached the server for each machine (required: at most 8), rows of unit `logins` how many
sessions were opened in all (required: 1); both counted at the server.

Cases "plan apply": the whole command as a process, `ferry plan apply CS.json`, a new state, eight at once.
READING THE GUEST'S IDENTITY IS LEFT OUT (the disks are empty), see `apply_without_identity`. Peer `govc`
(required: at most 0.5): the plain loop, a process for each call. Peer `ansible` (required: at most 0.05): a
playbook with modules of community.vmware, eight machines at a time.

Ansible needs seconds for each machine, and so does the govc loop with latency: they are measured once, on
10 machines, and for more of them that time is multiplied; the row then says `ansible, from 10`. Both work
on as many machines at once whatever their number, so their time grows with it. With latency the others are
measured once, too: waiting does not vary.

What the peers do and do not do stands in `vsphere_peers`. Every measurement begins with machines that were
just made.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from providers.vsphere import provider
from tests.bench import vsphere_peers as peers
from tests.bench.harness import ROUNDS, document, interleaved, main, row, say, timed
from tests.bench.isolating import isolate_all, plan_apply
from tests.bench.site import AT_ONCE, PASSWORD, QUARANTINE, Site, site, versions

CASES = (10, 50, 200)
LATENCIES = (0, 100)
"""Milliseconds for each call."""

Prepare = Callable[[Site], Callable[[], object]]
"""Makes ready, and returns the work that counts."""


def run(smallest: bool) -> dict[str, Any]:
    """Measure; `smallest` is two machines without latency, once."""
    counts, latencies = ((2,), (0,)) if smallest else (CASES, LATENCIES)
    rows: list[dict[str, Any]] = []
    with site() as one:
        os.environ[PASSWORD] = one.sim.password
        for ms in latencies:
            rounds = 1 if smallest or ms else ROUNDS
            slow = _slow_peers(one, counts[0], ms)
            for count in counts:
                say(f"{count} machines, {ms} ms")
                rows += _adapter_rows(one, count, ms, rounds) + _apply_rows(one, count, ms, rounds, slow)
        numbers = versions(one)
    return document("isolate-vsphere", rows, packages=("pyvmomi", "dbos"), **numbers)


def _slow_peers(one: Site, count: int, ms: int) -> list[tuple[str, int, float]]:
    """Measure once, on a few machines, what takes too long on many: name, machines, seconds."""
    if (lacking := peers.missing_ansible()) is not None:
        say(f"peer ansible is left out; it needs {lacking}")
    works = [govc] if ms else []
    works += [] if lacking else [ansible]
    found = []
    for work in works:
        found.append((work.__name__, count, _measure(work, one, count, ms, {})()))
        say(f"  {work.__name__}, {count} machines, {ms} ms: {found[-1][2]:.1f}")
    return found


def _adapter_rows(one: Site, count: int, ms: int, rounds: int) -> list[dict[str, Any]]:
    case = f"adapter alone, {count} machines, {ms} ms"
    calls: dict[str, dict[str, Any]] = {}
    measures = [_measure(work, one, count, ms, calls) for work in (adapter_alone, minimal)]
    ours, theirs = interleaved(*measures, rounds=rounds)
    mine, peer = calls["adapter_alone"], calls["minimal"]
    return [
        row(case, ours, theirs, "minimal"),
        row(case, mine["total"] / count, peer["total"] / count, "minimal", "calls"),
        row(case, mine["logins"], peer["logins"], "minimal", "logins"),
    ]


def _apply_rows(
    one: Site, count: int, ms: int, rounds: int, slow: list[tuple[str, int, float]]
) -> list[dict[str, Any]]:
    case = f"plan apply, identity not read, {count} machines, {ms} ms"
    works = (apply,) if ms else (apply, govc)
    ours, *theirs = interleaved(*(_measure(work, one, count, ms, {}) for work in works), rounds=rounds)
    rows = [row(case, ours, seconds, "govc") for seconds in theirs]
    for name, machines, seconds in slow:
        known = name if machines == count else f"{name}, from {machines}"
        rows.append(row(case, ours, seconds / machines * count, known))
    return rows


def _measure(
    prepare: Prepare, one: Site, count: int, ms: int, calls: dict[str, dict[str, Any]]
) -> Callable[[], float]:
    def measured() -> float:
        one.fresh(count)
        work = prepare(one)
        one.latency(ms)
        one.sim.control("counts/reset")
        seconds = timed(work)
        calls[prepare.__name__] = one.sim.control("counts")
        one.is_done()
        return seconds

    measured.__name__ = prepare.__name__
    return measured


def adapter_alone(one: Site) -> Callable[[], object]:
    """Ours: the adapter's part; opening it, logging in and finding the machines count."""

    def work() -> None:
        adapter = provider.open(one.endpoint, one.secret)
        adapter.inventory.listing()
        isolate_all(adapter, one.refs, QUARANTINE, AT_ONCE)

    return work


def apply(one: Site) -> Callable[[], object]:
    """Ours: the whole command."""
    password = {"env": PASSWORD}
    lab = {"provider": "vsphere", "max_parallel": AT_ONCE, "password": password, **one.settings}
    return plan_apply(lab, one.refs, QUARANTINE)


def minimal(one: Site) -> Callable[[], object]:
    """Peer `minimal`."""
    return lambda: peers.minimal(one)


def govc(one: Site) -> Callable[[], object]:
    """Peer `govc`."""
    return lambda: peers.govc_loop(one)


def ansible(one: Site) -> Callable[[], object]:
    """Peer `ansible`."""
    folder = tempfile.TemporaryDirectory(prefix="ferry-bench-")

    def play() -> None:
        try:
            peers.ansible(one, Path(folder.name), forks=AT_ONCE)
        finally:
            folder.cleanup()

    return play


if __name__ == "__main__":
    main(run)
