"""An endpoint is never given more work at once than the plan allows."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.history import RunStatus
from tests.engine import kit
from tests.engine.kit import Site, carry_out
from tests.engine.test_runs import BARE


def test_no_adapter_sees_more_hosts_at_once_than_the_plan_allows(site: Site, tmp_path: Path) -> None:
    guard, now, most = threading.Lock(), [0], [0]

    def slow(disks: Any) -> Any:
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.15)
        with guard:
            now[0] -= 1
        return kit.collect(disks)

    site.max_parallel = 3
    changes = site.fleet([f"FILE{n:02}" for n in range(9)], **BARE)
    with kit.engine_on(f"sqlite:///{tmp_path}/state.db", collect=slow) as launched:
        assert carry_out(launched, changes).status is RunStatus.DONE
    assert most[0] == 3


def test_a_process_has_one_engine(tmp_path: Path) -> None:
    with (
        kit.engine_on(f"sqlite:///{tmp_path}/one.db"),
        pytest.raises(RuntimeError, match="already launched"),
        kit.engine_on(f"sqlite:///{tmp_path}/two.db"),
    ):
        pass
