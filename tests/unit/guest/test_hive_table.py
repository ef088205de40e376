"""HIVES.md says what the reader finds in third-party hives. If a change is wanted: FERRY_UPDATE_GOLDEN=1."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.guest import hive_table

KEPT = Path(__file__).with_name("HIVES.md")


@pytest.mark.timeout(300)
def test_the_table_of_third_party_hives_is_true(
    real_hive: Callable[[str], bytes], memory_disk: Any, tmp_path: Path
) -> None:
    rendered = hive_table.render(real_hive, memory_disk, tmp_path)
    if os.environ.get("FERRY_UPDATE_GOLDEN"):
        KEPT.write_text(rendered, encoding="utf-8")
    assert rendered == KEPT.read_text(encoding="utf-8")


def test_the_table_names_every_hive_that_is_tried() -> None:
    text = KEPT.read_text(encoding="utf-8")
    assert all(f"`{one.name}`" in text for one in hive_table.HIVES)
    assert all(f"| {name} |" in text for name in hive_table.DISKS)
