"""Reads of many threads become few calls, and nobody gets another's error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.vsphere import batch
from providers.vsphere.batch import Batch, filters, of, read

_PC = vmodl.query.PropertyCollector


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, nobody loses patience with a call that is under way."""
    monkeypatch.setattr(batch, "_PATIENCE", 60.0)


class Collector:
    """Answers with the names of machines; `gone` are not there. The first call waits for `go`."""

    def __init__(self, gone: frozenset[str] = frozenset(), page: int | None = None) -> None:
        self.asked: list[list[str]] = []
        self.continued = 0
        self.go, self.first = threading.Event(), threading.Event()
        self._gone, self._page = gone, page
        self._left: list[Any] = []

    def RetrievePropertiesEx(self, specs: list[Any], options: Any) -> Any:  # pyvmomi's name
        ids = [one.obj._moId for spec in specs for one in spec.objectSet]
        self.asked.append(ids)
        if not self.first.is_set():
            self.first.set()
            assert self.go.wait(10)
        for moid in ids:
            if moid in self._gone:
                raise vmodl.fault.ManagedObjectNotFound(obj=vim.VirtualMachine(moid))
        return self._part([_content(moid) for moid in ids])

    def ContinueRetrievePropertiesEx(self, token: str) -> Any:  # pyvmomi's name
        self.continued += 1
        return self._part(self._left)

    def _part(self, contents: list[Any]) -> Any:
        size = self._page or len(contents)
        self._left = contents[size:]
        return _PC.RetrieveResult(objects=contents[:size], token="more" if self._left else None)


def _content(moid: str) -> Any:
    name = vmodl.DynamicProperty(name="name", val=f"name of {moid}")
    return _PC.ObjectContent(obj=vim.VirtualMachine(moid), propSet=[name])


def _spec(*moids: str) -> Any:
    return of(vim.VirtualMachine, [vim.VirtualMachine(moid) for moid in moids], ("name",))


def _ask_at_once(collector: Collector, moids: list[str]) -> list[Any]:
    """One thread asks; while its call is under way all others do."""
    asking = Batch(lambda: collector)

    def ask(moid: str) -> Any:
        try:
            return asking.ask(_spec(moid))[moid].props["name"]
        except vmodl.MethodFault as error:
            return type(error)

    with ThreadPoolExecutor(len(moids)) as pool:
        first = pool.submit(ask, moids[0])
        assert collector.first.wait(10)
        others = [pool.submit(ask, moid) for moid in moids[1:]]
        while len(asking._open) < len(others):
            threading.Event().wait(0.001)
        collector.go.set()
        return [one.result(10) for one in (first, *others)]


@pytest.mark.usefixtures("patient")
def test_reads_that_come_while_one_is_under_way_share_the_next_call():
    collector, moids = Collector(), [f"vm-{n}" for n in range(8)]
    assert _ask_at_once(collector, moids) == [f"name of {moid}" for moid in moids]
    assert [len(asked) for asked in collector.asked] == [1, 7]


@pytest.mark.usefixtures("patient")
def test_object_that_is_gone_spoils_only_its_own_read():
    collector, moids = Collector(gone=frozenset({"vm-3"})), [f"vm-{n}" for n in range(5)]
    found = _ask_at_once(collector, moids)
    assert found[3] is vmodl.fault.ManagedObjectNotFound
    assert [f for n, f in enumerate(found) if n != 3] == [f"name of vm-{n}" for n in (0, 1, 2, 4)]


@pytest.mark.usefixtures("patient")
def test_who_has_an_answer_does_not_wait_behind_who_asks_next():
    """Of those that one call answers, some ask again at once: the others must get on all the same."""
    second, third, on = threading.Event(), threading.Event(), threading.Event()
    gates = iter([(second, threading.Event()), (third, on)])

    class Slow(Collector):
        def RetrievePropertiesEx(self, specs: list[Any], options: Any) -> Any:  # pyvmomi's name
            if self.asked:
                reached, go_on = next(gates)
                reached.set()
                assert go_on is not on or on.wait(10)
            return super().RetrievePropertiesEx(specs, options)

    collector = Slow()
    asking = Batch(lambda: collector)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(asking.ask, _spec("vm-0"))
        assert collector.first.wait(10)
        again = pool.submit(lambda: [asking.ask(_spec("vm-1")), asking.ask(_spec("vm-9"))])
        others = [pool.submit(asking.ask, _spec(f"vm-{n}")) for n in range(2, 8)]
        while len(asking._open) < 7:
            threading.Event().wait(0.001)
        collector.go.set()
        assert third.wait(10)  # the call of the one who asked again is under way, and stays so
        assert all("vm-2" in other.result(10) for other in others)
        assert not again.done()
        on.set()
        assert "vm-9" in again.result(10)[1]
        assert "vm-0" in first.result(10)
    assert [len(asked) for asked in collector.asked] == [1, 7, 1]


def test_a_second_call_is_made_beside_one_that_takes_long():
    """The first call never ends before the second one has been answered."""
    collector = Collector()
    asking = Batch(lambda: collector)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asking.ask, _spec("vm-0"))
        assert collector.first.wait(10)
        assert "vm-1" in pool.submit(asking.ask, _spec("vm-1")).result(10)
        assert not first.done()
        collector.go.set()
        first.result(10)


def test_a_spec_that_several_ask_for_is_asked_for_once():
    collector = Collector()
    collector.go.set()
    network = _spec("vm-9")
    found = Batch(lambda: collector).ask(_spec("vm-1"), network, network)
    assert collector.asked == [["vm-1", "vm-9"]]
    assert set(found) == {"vm-1", "vm-9"}


def test_objects_of_which_the_same_is_read_share_one_filter_spec():
    host = of(vim.HostSystem, [vim.HostSystem("host-1")], ("name",))
    tasks = of(vim.VirtualMachine, [vim.VirtualMachine("vm-1")], ("name", "recentTask"))
    made = filters([_spec("vm-1"), host, _spec("vm-2", "vm-1"), tasks])
    asked = [([one.obj._moId for one in spec.objectSet], list(spec.propSet[0].pathSet)) for spec in made]
    assert asked == [
        (["vm-1", "vm-2"], ["name"]),
        (["host-1"], ["name"]),
        (["vm-1"], ["name", "recentTask"]),
    ]


def test_pages_are_read_to_the_end():
    collector = Collector(page=2)
    collector.go.set()
    found = list(read(collector, filters([_spec(*(f"vm-{n}" for n in range(5)))]), page=2))
    assert [seen.id for seen in found] == [f"vm-{n}" for n in range(5)]
    assert collector.continued == 2


def test_unset_property_is_absent():
    empty = _PC.ObjectContent(obj=vim.VirtualMachine("vm-1"), propSet=[])
    collector = Collector()
    collector.go.set()
    collector._part = lambda contents: _PC.RetrieveResult(objects=[empty], token=None)  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        Batch(lambda: collector).ask(_spec("vm-1"))["vm-1"].props["name"]
