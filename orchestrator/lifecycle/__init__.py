"""What is known of Windows releases: builds, dates, editions, upgrade paths, removed features.

Data with sources; no I/O, no clock.
"""

from orchestrator.lifecycle.builds import RELEASES, Release, release, release_of
from orchestrator.lifecycle.dates import Phase, SupportStatus, support_status
from orchestrator.lifecycle.editions import Edition, edition
from orchestrator.lifecycle.features import FEATURES, Change, FeatureChange, changes_until
from orchestrator.lifecycle.sources import Grade, Source
from orchestrator.lifecycle.upgrades import upgrade_chain
from orchestrator.lifecycle.verdict import Verdict, is_server_2008_sp2

__all__ = [
    "FEATURES",
    "RELEASES",
    "Change",
    "Edition",
    "FeatureChange",
    "Grade",
    "Phase",
    "Release",
    "Source",
    "SupportStatus",
    "Verdict",
    "changes_until",
    "edition",
    "is_server_2008_sp2",
    "release",
    "release_of",
    "support_status",
    "upgrade_chain",
]
