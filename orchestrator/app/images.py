"""Facts of a disk image, with the verdict which Windows it is.

Needs no state: what is imported here, every reading of an image costs.
"""

from pathlib import Path

from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.guest.offline import collect_from_image
from orchestrator.lifecycle.verdict import Verdict, is_server_2008_sp2
from orchestrator.model.base import Value
from orchestrator.model.facts import ServerFacts


class Found(Value):
    """Facts with the verdict whether this is a Windows Server 2008 SP2."""

    facts: ServerFacts
    verdict: Verdict


def of_image(image: Path, fmt: str | None) -> Found:
    """Read a disk image that nobody writes. Raises FerryError."""
    if not image.is_file():
        raise InvalidInput((Diagnostic("no-image", f"{image} is no file", "name a disk image"),))
    return judged(collect_from_image(image, fmt))


def judged(facts: ServerFacts) -> Found:
    """Lay the verdict beside the facts."""
    return Found(facts=facts, verdict=is_server_2008_sp2(facts.identity))
