"""What is known of Windows releases: builds, dates, editions, upgrade paths, removed features.

Data with sources; no I/O, no clock.
"""

from orchestrator.lifecycle.builds import RELEASES, Release, release, release_of
from orchestrator.lifecycle.dates import MILESTONES, Hosting, Milestone, Phase
from orchestrator.lifecycle.disputes import DISPUTES, FALSE_STATEMENTS, Dispute, FalseStatement
from orchestrator.lifecycle.editions import Edition, edition
from orchestrator.lifecycle.features import FEATURES, Change, FeatureChange, changes_until
from orchestrator.lifecycle.sources import Grade, Source
from orchestrator.lifecycle.status import Stage, SupportStatus, When, status_on
from orchestrator.lifecycle.upgrades import upgrade_chain
from orchestrator.lifecycle.verdict import Verdict, is_server_2008_sp2

__all__ = [
    "DISPUTES",
    "FALSE_STATEMENTS",
    "FEATURES",
    "MILESTONES",
    "RELEASES",
    "Change",
    "Dispute",
    "Edition",
    "FalseStatement",
    "FeatureChange",
    "Grade",
    "Hosting",
    "Milestone",
    "Phase",
    "Release",
    "Source",
    "Stage",
    "SupportStatus",
    "Verdict",
    "When",
    "changes_until",
    "edition",
    "is_server_2008_sp2",
    "release",
    "release_of",
    "status_on",
    "upgrade_chain",
]
