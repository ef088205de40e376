"""Which release can be upgraded in place to which.

For telling that 2008 cannot reach 2022 or 2025 in one step.
"""

from collections import deque

from orchestrator.lifecycle.sources import IN_PLACE, IN_PLACE_AZURE, Source

# Target release: the releases that its set-up upgrades, 64-bit to 64-bit only.
DIRECT: dict[str, tuple[tuple[str, ...], Source]] = {
    "2012": (("2008", "2008 R2"), IN_PLACE_AZURE),
    "2016": (("2012", "2012 R2"), IN_PLACE_AZURE),
    "2019": (("2012 R2", "2016"), IN_PLACE_AZURE),
    "2022": (("2016", "2019"), IN_PLACE),
    "2025": (("2012 R2", "2016", "2019", "2022"), IN_PLACE),
}


def upgrade_chain(source: str, target: str, arch: str) -> tuple[str, ...] | None:
    """Return the shortest chain of releases from `source` to `target`, both included; None where there is
    none.

    Only x64 has any: set-up never changes the architecture, and the newer releases exist for x64 alone.
    """
    if arch != "x64":
        return None
    waiting: deque[tuple[str, ...]] = deque([(source,)])
    seen = {source}
    while waiting:
        chain = waiting.popleft()
        if chain[-1] == target:
            return chain
        for following, (sources, _) in DIRECT.items():
            if chain[-1] in sources and following not in seen:
                seen.add(following)
                waiting.append((*chain, following))
    return None
