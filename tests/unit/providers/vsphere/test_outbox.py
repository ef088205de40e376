"""Calls that nothing waits for are made in their order, and none of them is a hindrance."""

from __future__ import annotations

import threading

import pytest
from pyVmomi import vmodl

from providers.vsphere.outbox import Outbox

pytestmark = pytest.mark.timeout(20)
"""Shorter than the time for which each test would wait for an end that nobody tells."""


def test_calls_are_made_in_their_order_and_nobody_waits_for_them() -> None:
    outbox, made, go_on = Outbox(), [], threading.Event()
    outbox.put(lambda: go_on.wait(10))
    for number in range(20):
        outbox.put(lambda number=number: made.append(number))
    assert made == []
    go_on.set()
    outbox.flush(60)
    assert made == list(range(20))


def test_a_refused_call_is_left_and_the_next_one_made() -> None:
    outbox, made = Outbox(), []

    def refused() -> None:
        raise vmodl.fault.SecurityError(msg="no")

    def broken() -> None:
        raise ConnectionResetError

    def unforeseen() -> None:
        raise ValueError

    for call in (refused, broken, unforeseen, lambda: made.append("said")):
        outbox.put(call)
    outbox.flush(60)
    assert made == ["said"]


def test_the_end_does_not_wait_for_ever() -> None:
    outbox, go_on = Outbox(), threading.Event()
    outbox.put(lambda: go_on.wait(10))
    outbox.flush(0.01)
    go_on.set()
    outbox.flush(60)


def test_an_idle_outbox_has_no_thread() -> None:
    outbox = Outbox()
    outbox.put(lambda: None)
    outbox.flush(60)
    assert all(thread.name != "outbox" or not thread.is_alive() for thread in _joined())


def _joined() -> list[threading.Thread]:
    found = [thread for thread in threading.enumerate() if thread.name == "outbox"]
    for thread in found:
        thread.join(10)
    return found
