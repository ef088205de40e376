"""Which machines of a listing may be a Windows Server 2008 SP2, and with what reasons."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.lifecycle.candidates import Rated, Rating, Stored, rate
from orchestrator.model.facts import Identity, ProductType
from orchestrator.model.machine import GuestOs, Listed, MachineRef, PowerState

REF = MachineRef(endpoint="lab", id="1", name="file01")
WHEN = datetime(2026, 11, 20, tzinfo=UTC)

TOOLS_32 = GuestOs(product="Microsoft Windows Server 2008 (32-bit)")
TOOLS_R2 = GuestOs(product="Microsoft Windows Server 2008 R2 (64-bit)")
SP2 = GuestOs(
    product="Windows Server (R) 2008 Enterprise", version="6.0", build="6003", variant="server", arch="x86_64"
)


def rated(configured: str = "", guest: GuestOs | None = None, **more: object) -> Rated:
    listed = Listed(ref=REF, power=PowerState.ON, configured_os=configured, guest=guest)
    return rate(listed.model_copy(update=more))


def numbers(build: str, variant: str = "server", version: str = "6.0", product: str = "") -> GuestOs:
    return GuestOs(version=version, build=build, variant=variant, product=product)


def stored(build: int | None, kind: ProductType | None = ProductType.SERVER, version: str = "6.0") -> Stored:
    identity = Identity(
        version=version,
        build=build,
        product_name=None,
        edition=None,
        product_type=kind,
        arch="x86",
        service_pack=None,
        hostname=None,
    )
    return Stored(identity=identity, at=WHEN, run="r7")


@pytest.mark.parametrize(
    ("configured", "guest", "rating"),
    [
        # The definition alone.
        ("winLonghornGuest", None, Rating.CANDIDATE),
        ("winLonghorn64Guest", None, Rating.CANDIDATE),
        ("http://microsoft.com/win/2k8", None, Rating.CANDIDATE),
        ("windows7Server64Guest", None, Rating.OTHER),
        ("http://microsoft.com/win/2k8r2", None, Rating.OTHER),
        ("winVista64Guest", None, Rating.OTHER),
        ("http://microsoft.com/win/vista", None, Rating.OTHER),
        ("windows7_64Guest", None, Rating.OTHER),
        ("ubuntu64Guest", None, Rating.OTHER),
        ("otherGuest", None, Rating.UNKNOWN),
        ("", None, Rating.UNKNOWN),
        # A name that an agent shows.
        ("", TOOLS_32, Rating.CANDIDATE),
        ("otherGuest64", GuestOs(product="Windows Web Server® 2008"), Rating.CANDIDATE),
        ("", TOOLS_R2, Rating.OTHER),
        ("", GuestOs(product="Microsoft Windows Server 2008R2"), Rating.OTHER),
        ("", GuestOs(product="Microsoft Windows Vista (32-bit)"), Rating.OTHER),
        ("", GuestOs(product="Ubuntu Server 2008"), Rating.OTHER),
        ("", GuestOs(hostname="FILE01"), Rating.UNKNOWN),
        # Numbers that an agent gives.
        ("", SP2, Rating.CONFIRMED),
        ("", numbers("6002"), Rating.CONFIRMED),
        ("", GuestOs(version="6.0.6002", variant="server"), Rating.CONFIRMED),
        ("", numbers("6002", "client"), Rating.OTHER),
        ("", numbers("6002", ""), Rating.CANDIDATE),
        ("", numbers("6003", "", product="Windows Vista (TM) Business"), Rating.OTHER),
        ("", numbers("7601", version="6.1"), Rating.OTHER),
        ("", numbers("7601", "client", version="6.1"), Rating.OTHER),
        ("", numbers("6001"), Rating.DOUBTFUL),
        # VMware Tools: their name of the system, and in newer ones the build.
        ("", TOOLS_32.model_copy(update={"build": "6003"}), Rating.CONFIRMED),
        ("winLonghornGuest", TOOLS_32.model_copy(update={"build": "7601"}), Rating.DOUBTFUL),
        ("winLonghornGuest", TOOLS_32.model_copy(update={"build": "6001"}), Rating.DOUBTFUL),
        ("", GuestOs(product="Microsoft Windows Vista (64-bit)", build="6003"), Rating.OTHER),
        # Contradictions and lies.
        ("windows7Server64Guest", SP2, Rating.CONFIRMED),
        ("windows7Server64Guest", TOOLS_32, Rating.CANDIDATE),
        ("winLonghorn64Guest", TOOLS_R2, Rating.DOUBTFUL),
        ("winLonghorn64Guest", numbers("7601", version="6.1"), Rating.DOUBTFUL),
        ("winLonghorn64Guest", numbers("6003", "client"), Rating.DOUBTFUL),
        ("", numbers("7601", version="6.1", product="Windows Server 2008 Standard"), Rating.OTHER),
        ("", numbers("6003", version="6.1"), Rating.DOUBTFUL),
        ("", numbers("6003; rm -rf /", version="six"), Rating.CANDIDATE),
        ("", numbers("99999999999999999999"), Rating.UNKNOWN),
    ],
)
def test_signs_decide(configured: str, guest: GuestOs | None, rating: Rating) -> None:
    found = rated(configured, guest)
    assert found.rating is rating, found.reasons


def test_a_guest_id_and_a_name_never_confirm_even_together() -> None:
    assert rated("winLonghorn64Guest", TOOLS_32).rating is Rating.CANDIDATE


def test_what_was_told_inside_is_expected_but_not_what_somebody_picked() -> None:
    assert (rated("", SP2).build, rated("", SP2).arch) == (6003, "x64")
    assert (rated("", TOOLS_32).build, rated("", TOOLS_32).arch) == (None, "x86")
    picked = rated("winLonghorn64Guest")
    assert (picked.build, picked.arch) == (None, None)


@pytest.mark.parametrize(
    ("known", "configured", "guest", "rating"),
    [
        (stored(6002), "", None, Rating.CONFIRMED),
        (stored(6002), "windows7Server64Guest", None, Rating.CONFIRMED),
        (stored(6002), "winLonghornGuest", numbers("6003"), Rating.CONFIRMED),
        (stored(None), "winLonghornGuest", None, Rating.CANDIDATE),
        (stored(6003, None), "", None, Rating.UNKNOWN),
        (stored(7601, version="6.1"), "", None, Rating.OTHER),
        (stored(7601, version="6.1"), "winLonghornGuest", None, Rating.DOUBTFUL),
        (stored(6002, ProductType.WORKSTATION), "", None, Rating.OTHER),
        # Since then somebody may have upgraded it.
        (stored(6002), "winLonghornGuest", numbers("7601", version="6.1"), Rating.DOUBTFUL),
        (stored(6002), "winLonghornGuest", TOOLS_R2, Rating.DOUBTFUL),
    ],
)
def test_stored_evidence_comes_first_and_is_doubted_when_a_later_look_says_otherwise(
    known: Stored, configured: str, guest: GuestOs | None, rating: Rating
) -> None:
    found = rate(Listed(ref=REF, power=PowerState.ON, configured_os=configured, guest=guest), known)
    assert found.rating is rating, found.reasons
    assert found.reasons[0].startswith("evidence of run r7, 2026-11-20: ")


def test_a_contradiction_is_said() -> None:
    assert rated("winLonghorn64Guest", TOOLS_R2).reasons == (
        "the agent inside says: Microsoft Windows Server 2008 R2 (64-bit)",
        "its definition says winLonghorn64Guest: Windows Server 2008 (64-bit)",
        "these contradict each other",
    )


def test_what_tools_say_is_told_as_they_say_it() -> None:
    tools = TOOLS_32.model_copy(update={"build": "6003"})
    assert rated("", tools).reasons[0] == (
        "the agent inside says: Microsoft Windows Server 2008 (32-bit); build 6003"
    )


def test_without_service_pack_2_that_is_the_reason_and_the_name_is_no_lie() -> None:
    reasons = rated("", numbers("6001", product="Windows Server 2008")).reasons
    assert "Service Pack 2 is not installed" in reasons[0]
    assert "says otherwise" not in reasons[0]


def test_a_template_is_no_host_but_is_pointed_at() -> None:
    assert rated("winLonghornGuest", template=True).rating is Rating.DOUBTFUL
    assert rated("windows2019srv_64Guest", template=True).rating is Rating.OTHER


def test_reasons_hold_no_control_characters_and_no_endless_text() -> None:
    hostile = "\x1b[2J\n" + "Windows Server 2008 " * 10_000
    for reason in rated(hostile, GuestOs(product=hostile)).reasons:
        assert reason.isprintable()
        assert len(reason) < 1000
