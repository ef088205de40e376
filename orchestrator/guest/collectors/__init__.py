"""Facts that a server tells about itself: the scripts that run in it, and the reading of what they print.

Nothing here logs in anywhere: a person, or a guest channel of the contract, carries script and output.
"""

from orchestrator.guest.collectors.collect import (
    Collector,
    collect_in_guest,
    facts_from_output,
    is_output,
    script,
)
from orchestrator.guest.collectors.raw import MAX_RAW

__all__ = ["MAX_RAW", "Collector", "collect_in_guest", "facts_from_output", "is_output", "script"]
