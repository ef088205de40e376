"""Local files are made whole or not at all, survive a crash at every point, and only ours are removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.contract.conformance.effect import Crash, Ledger, RecordingEffect
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ObjectKind
from providers.kvm.link import Link
from providers.kvm.storage import ensure_file, qemu_img, remove_ours, room

DISK = ObjectKind.DISK


def make(path: Path) -> None:
    path.touch(exist_ok=False)
    path.write_text("whole")


def test_crash_at_every_point_ends_with_one_whole_file(tmp_path: Path) -> None:
    for point in range(1, 20):
        path, ledger = tmp_path / f"a.mark{point}", Ledger()
        try:
            ensure_file(DISK, path, make, "file", RecordingEffect("t", ledger, crash_at=point))
        except Crash:
            ensure_file(DISK, path, make, "file", RecordingEffect("t", ledger))
            assert path.read_text() == "whole"
            assert list(tmp_path.glob(f"a.mark{point}*")) == [path]
            assert not ledger.intended
        else:
            assert point > 4
            return


def test_file_that_the_ledger_does_not_know_is_neither_taken_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.mark"
    path.write_text("theirs")
    for call in (
        lambda hand: ensure_file(DISK, path, make, "file", hand),
        lambda hand: remove_ours(DISK, str(path), "mark", "file", hand),
    ):
        hand = RecordingEffect("t")
        with pytest.raises(ProviderError) as info:
            call(hand)
        assert info.value.kind is ErrorKind.CONFLICT
        assert path.read_text() == "theirs"
        assert hand.mutations == 0


def test_file_whose_name_does_not_bear_the_mark_is_not_removed(tmp_path: Path) -> None:
    path, ledger = tmp_path / "passwd", Ledger()
    path.write_text("theirs")
    ledger.present.add((DISK, str(path)))
    with pytest.raises(ProviderError, match="not removed"):
        remove_ours(DISK, str(path), "ferry-0123", "file", RecordingEffect("t", ledger))
    assert path.exists()


def test_room_is_told_in_figures_and_its_lack_is_a_hindrance(tmp_path: Path) -> None:
    link = Link("lab", "qemu:///system", read_only=True)
    assert room(link, str(tmp_path), 1, "overlays").ok
    much = room(link, str(tmp_path), 1 << 60, "overlays")
    assert not much.ok
    assert "MiB free" in much.detail
    assert not room(link, str(tmp_path / "none"), 1, "overlays").ok


def test_failing_tool_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="none"):
        qemu_img(["info", str(tmp_path / "none")])
