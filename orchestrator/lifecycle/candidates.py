"""Which machines of a listing may be a Windows Server 2008 SP2: what speaks for it, what against, in words.

Pure. A configured guest id is what somebody picked in a form, and an agent can be old or lie: only a build
that was seen confirms. What is told here decides what a person is shown, never what a run does.
"""

import re
from datetime import datetime
from enum import StrEnum

from orchestrator.lifecycle.verdict import BUILDS, is_server_2008_sp2
from orchestrator.model.base import Value
from orchestrator.model.facts import Identity, ProductType
from orchestrator.model.machine import GuestOs, Listed
from orchestrator.model.text import printable

ON_TRUST = (
    "a candidate is unconfirmed: a guest id or a product name is never a verdict; "
    "a run confirms it from the snapshot before it isolates anything"
)


class Rating(StrEnum):
    """How likely it is. DOUBTFUL is for a person to look at; UNKNOWN is a machine that nothing is said of."""

    CONFIRMED = "confirmed"
    CANDIDATE = "candidate"
    DOUBTFUL = "doubtful"
    UNKNOWN = "unknown"
    OTHER = "other"


class Stored(Value):
    """Which Windows a machine is by evidence that this state keeps: of which run, and how old."""

    identity: Identity
    at: datetime
    run: str


class Rated(Value):
    """A machine's rating. `build` and `arch` (x86, x64) only where something inside told them."""

    rating: Rating
    reasons: tuple[str, ...]
    build: int | None = None
    arch: str | None = None


class _Sign(Value):
    """What one source says: for it, against it, or (None) neither. `seen`: by a build, not by a name."""

    says: bool | None
    words: str
    seen: bool = False
    near: bool = False
    """It has a build of 2008 and is none by the rest: without Service Pack 2, or contradicting itself."""


# What vSphere, VMX files and libosinfo call it. Vista and 2008 R2 have ids of their own.
_IS = {
    "winlonghornguest": "Windows Server 2008 (32-bit)",
    "winlonghorn64guest": "Windows Server 2008 (64-bit)",
    "longhorn": "Windows Server 2008 (32-bit)",
    "longhorn-64": "Windows Server 2008 (64-bit)",
    "win2k8": "Windows Server 2008",
    "http://microsoft.com/win/2k8": "Windows Server 2008",
}
_IS_NOT = {
    "windows7server64guest": "Windows Server 2008 R2",
    "win2k8r2": "Windows Server 2008 R2",
    "http://microsoft.com/win/2k8r2": "Windows Server 2008 R2",
    "winvistaguest": "Windows Vista",
    "winvista64guest": "Windows Vista",
    "winvista": "Windows Vista",
    "http://microsoft.com/win/vista": "Windows Vista",
}
_SAYS_NOTHING = frozenset({"", "otherguest", "otherguest64", "other", "http://libosinfo.org/unknown"})
_ARCHS = {"x86_64": "x64", "amd64": "x64", "x64": "x64", "x86": "x86", "i386": "x86", "i686": "x86"}
_VARIANTS = {"server": ProductType.SERVER, "client": ProductType.WORKSTATION}
_SHOWN = 100


def rate(listed: Listed, stored: Stored | None = None) -> Rated:
    """Weigh what is known of a machine: stored evidence before an agent's word before its definition."""
    inside = [_evidence(stored) if stored else None, _agent(listed.guest) if listed.guest else None]
    signs = [sign for sign in (*inside, _definition(listed.configured_os)) if sign is not None]
    reasons = tuple(sign.words for sign in signs)
    if {True, False} <= {sign.says for sign in signs}:
        reasons += ("these contradict each other",)
    if listed.template and any(sign.says for sign in signs):
        told = "it is a template: nothing runs, but what is made from it is a Windows Server 2008 again"
        return Rated(rating=Rating.DOUBTFUL, reasons=(*reasons, told))
    decided = _weigh(signs)
    if decided not in (Rating.CONFIRMED, Rating.CANDIDATE):
        return Rated(rating=decided, reasons=reasons)
    identities = [stored.identity] if stored else []
    identities += [_identity(listed.guest)] if listed.guest else []
    return Rated(
        rating=decided,
        reasons=reasons,
        build=next((i.build for i in identities if i.build in BUILDS), None),
        arch=next((i.arch for i in identities if i.arch in ("x86", "x64")), None),
    )


def _weigh(signs: list[_Sign]) -> Rating:
    telling = [sign for sign in signs if sign.says is not None]
    if not telling:
        return Rating.UNKNOWN
    first, *rest = telling
    if not first.says:
        return Rating.DOUBTFUL if first.near or any(sign.says for sign in rest) else Rating.OTHER
    # An out-of-date definition is common, and said; a look inside that says otherwise is another matter.
    inside = [sign for sign in signs[:-1] if sign.says is not None]
    if not all(sign.says for sign in inside):
        return Rating.DOUBTFUL
    return Rating.CONFIRMED if first.seen else Rating.CANDIDATE


def _evidence(stored: Stored) -> _Sign:
    verdict = is_server_2008_sp2(stored.identity)
    day = stored.at.date().isoformat()
    words = f"evidence of run {stored.run}, {day}: {'; '.join(verdict.reasons)}"
    return _Sign(says=verdict.yes, words=words, seen=verdict.yes is not None, near=_near(stored.identity))


def _agent(guest: GuestOs) -> _Sign:
    """Take the agent's numbers where it gives them, else the name that it shows."""
    identity = _identity(guest)
    verdict = is_server_2008_sp2(identity)
    named = _named(guest.product)
    if verdict.yes is not None and identity.build is not None:
        words = f"the agent inside says: {'; '.join(verdict.reasons)}"
        return _Sign(says=verdict.yes, words=words, seen=True, near=_near(identity))
    says = named if verdict.yes is None else verdict.yes
    fits = identity.build in BUILDS
    # VMware Tools give a build, and beside it only their own name of the system, which tells a server.
    seen = fits and named is True and verdict.yes is None
    numbers = (f"build {identity.build}",) if seen else verdict.reasons
    told = [identity.product_name or "", *(numbers if guest.version or guest.build else ())]
    words = f"the agent inside says: {'; '.join(filter(None, told)) or 'nothing of the system'}"
    return _Sign(says=True if says is None and fits else says, words=words, seen=seen)


def _near(identity: Identity) -> bool:
    builds = BUILDS | {6001}
    return identity.build in builds and identity.product_type is not ProductType.WORKSTATION


def _definition(configured: str) -> _Sign:
    """Read what whoever made the machine picked in a list. Always the last of the signs."""
    key = configured.strip().casefold()
    shown = printable(configured.strip(), _SHOWN)
    if not key:
        return _Sign(says=None, words="its definition names no system")
    if key in _SAYS_NOTHING:
        return _Sign(says=None, words=f"its definition says {shown}: any system")
    if name := _IS.get(key):
        return _Sign(says=True, words=f"its definition says {shown}: {name}")
    return _Sign(says=False, words=f"its definition says {shown}: {_IS_NOT.get(key, 'another system')}")


def _identity(guest: GuestOs) -> Identity:
    """Read an agent's words as an identity; what is not in them, or makes no sense, is unknown."""
    version = re.match(r"(\d{1,2}\.\d{1,2})(?:\.(\d{1,6}))?(?!\d)", guest.version.strip())
    build = re.match(r"\d{1,6}(?!\d)", guest.build.strip())
    number = build[0] if build else version[2] if version else None
    bits = re.search(r"\((32|64)-bit\)", guest.product)
    by_name = None if bits is None else "x64" if bits[1] == "64" else "x86"
    return Identity(
        version=version[1] if version else None,
        build=int(number) if number else None,
        product_name=printable(guest.product.strip(), _SHOWN) or None,
        edition=None,
        product_type=_VARIANTS.get(guest.variant.strip().casefold()),
        arch=_ARCHS.get(guest.arch.strip().casefold(), by_name),
        service_pack=None,
        hostname=None,
    )


def _named(product: str) -> bool | None:
    """Tell by the name that an agent shows: for, against, or no name at all."""
    name = product.strip().casefold()[:1000]
    words = set(re.findall(r"[a-z0-9]+", name))
    if not words or name in _SAYS_NOTHING:
        return None
    is_2008 = {"windows", "server", "2008"} <= words and "r2" not in words
    return is_2008 or "longhorn" in words or name in _IS
