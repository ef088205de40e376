"""A filter that the site owns is said to be the site's, in the change set and in the report."""

from __future__ import annotations

from orchestrator.changeset.changes import StepKind
from orchestrator.changeset.steps import network_words
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.report.hosts import _cut, _impact
from tests.unit.builders import a_host_change, a_host_plan
from tests.unit.changeset.test_build import built

FLOW = Flow(to="198.51.100.10", port=445)


def site_filtered(*flows: Flow) -> IsolationSpec:
    network = NetworkSpec(
        name="legacy-out", mode=IsolationMode.FILTERED, site_filter="NSX policy 7", allow=flows
    )
    return IsolationSpec(mode=IsolationMode.FILTERED, network=network)


def test_the_change_set_claims_no_filter() -> None:
    change_set = built(a_host_plan(isolation=site_filtered(FLOW)))
    (step,) = [step for step in change_set.hosts[0].steps if step.kind is StepKind.ISOLATE]
    words = f"{step}"
    assert "the site's own filter, not made or checked by ferry: NSX policy 7" in words
    assert "declared by the site 1" in words
    assert "dropped" not in words
    assert "uplink" not in words


def test_the_report_promises_nothing_of_it() -> None:
    spec = site_filtered(FLOW)
    host = a_host_change(plan=a_host_plan(isolation=spec))
    assert "the site's own filter, not made or checked by ferry: NSX policy 7" in _cut(spec)
    assert "The site declares that it reaches only: tcp to 198.51.100.10 port 445." in _impact(
        host, undo=False
    )
    silent = _impact(a_host_change(plan=a_host_plan(isolation=site_filtered())), undo=False)
    assert "nothing reaches it" not in silent


def test_where_a_network_is_made_is_said() -> None:
    spec = NetworkSpec(name="q", create=True, switch="DVS-Q", vlan=17)
    assert network_words(spec) == "q (created if it is not there, on switch DVS-Q, VLAN 17)"
