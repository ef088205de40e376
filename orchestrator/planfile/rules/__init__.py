"""What must hold between the values of a plan file. Each rule is a pure function of the tolerant view.

A rule keeps silent about values that it cannot read: the models have reported those.
"""

from datetime import date
from itertools import islice

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import ENOUGH, Table
from orchestrator.planfile.rules import change, customization, hosts, networks, order, targets
from orchestrator.planfile.rules.view import Document

RULES = (*change.RULES, *networks.RULES, *hosts.RULES, *order.RULES, *targets.RULES, *customization.RULES)


def check_rules(root: Table, today: date, profiles: tuple[str, ...] = ()) -> list[Diagnostic]:
    """Apply every rule; `today` judges what has expired, `profiles` are the known parity profiles."""
    document = Document(root, today, profiles)
    return [problem for rule in RULES for problem in islice(rule(document), ENOUGH)]
