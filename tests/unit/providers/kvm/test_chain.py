"""Backing files are read from qcow2 headers, and a damaged or hostile header ends the chain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.kvm.chain import Layer, _backing, below


def image(path: Path, base: Path | None = None, *options: str) -> Path:
    backing = [] if base is None else ["-b", str(base), "-F", "qcow2"]
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, *backing, str(path), "1M"]
    subprocess.run(command, check=True, timeout=30)
    return path


@pytest.mark.parametrize("version", ["compat=0.10", "compat=1.1"])
def test_backing_file_and_format_are_found(tmp_path: Path, version: str) -> None:
    base = image(tmp_path / "base.qcow2")
    top = image(tmp_path / "top.qcow2", base, "-o", version)
    assert below(Layer(str(top), "qcow2")) == Layer(str(base), "qcow2")
    assert below(Layer(str(base), "qcow2")) is None


def test_relative_name_is_meant_from_the_images_folder(tmp_path: Path) -> None:
    image(tmp_path / "base.qcow2")
    top = image(tmp_path / "top.qcow2", Path("base.qcow2"))
    assert below(Layer(str(top), "qcow2")) == Layer(str(tmp_path / "base.qcow2"), "qcow2")


def test_raw_disk_that_dresses_up_as_qcow2_has_nothing_below(tmp_path: Path) -> None:
    top = image(tmp_path / "top.img", image(tmp_path / "secret.qcow2"))
    assert below(Layer(str(top), "raw")) is None


def test_image_that_is_gone_ends_the_chain(tmp_path: Path) -> None:
    assert below(Layer(str(tmp_path / "none"), "qcow2")) is None


@given(st.binary(max_size=300))
def test_no_header_is_too_odd(tail: bytes) -> None:
    for head in (tail, b"QFI\xfb" + tail, b"QFI\xfb\0\0\0\3" + tail):
        found = _backing(head, Path("/img"))
        assert found is None or found.path
