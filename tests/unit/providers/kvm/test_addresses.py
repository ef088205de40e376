"""What the kernel tells of addresses: read as it is meant, and refused where it is cut short."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.kvm.addresses import read_addresses

NEW_ADDRESS, DONE = 20, 3
ADDRESS, LOCAL, LABEL = 1, 2, 3


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, prefix: int, device: int, *attributes: bytes) -> bytes:
    body = struct.pack("=BBBBI", 2, prefix, 0, 0, device) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def packed(text: str) -> bytes:
    return ip_address(text).packed


ANSWER = (
    message(NEW_ADDRESS, 24, 7, attribute(ADDRESS, packed("192.0.2.1")), attribute(LABEL, b"other:1\0"))
    + message(
        NEW_ADDRESS, 32, 8, attribute(ADDRESS, packed("192.0.2.9")), attribute(LOCAL, packed("192.0.2.2"))
    )
    + message(NEW_ADDRESS, 64, 7, attribute(ADDRESS, packed("fe80::1")))
    + message(DONE, 0, 0)
)


def test_every_address_is_told_of_its_device_whatever_its_label() -> None:
    assert list(read_addresses(ANSWER)) == [(7, "192.0.2.1/24"), (8, "192.0.2.2/32"), (7, "fe80::1/64")]


@pytest.mark.parametrize("length", [3, 15, 17, 30, len(ANSWER) - 1])
def test_answer_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises((ValueError, struct.error)):
        list(read_addresses(ANSWER[:length]))


@given(st.binary(max_size=80), st.integers(0, len(ANSWER)))
def test_answer_that_is_spoilt_ends_in_an_error_or_an_end(noise: bytes, at: int) -> None:
    with contextlib.suppress(ValueError, struct.error):
        list(read_addresses(ANSWER[:at] + noise + ANSWER[at + len(noise) :]))
