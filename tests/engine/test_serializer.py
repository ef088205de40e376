"""What lies in the database is JSON; planted pickles are refused, never run."""

from __future__ import annotations

import base64
import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from dbos._serialization import deserialize_value

from orchestrator.diagnostics import Refused
from orchestrator.engine import workflows
from orchestrator.engine.runtime import Engine
from orchestrator.engine.serializer import json_serializer
from orchestrator.history import RunStatus
from tests.engine.kit import Site, carry_out
from tests.engine.test_runs import BARE


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def planted(path: Path) -> str:
    return base64.b64encode(pickle.dumps(Bomb(path))).decode()


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    pickle.loads(base64.b64decode(planted(tmp_path / "hit")))  # noqa: S301  # shows that the test can fail
    assert (tmp_path / "hit").exists()


def test_a_planted_pickle_is_refused_and_not_run(engine: Engine, site: Site, tmp_path: Path) -> None:
    record = carry_out(engine, site.fleet(["FILE01"], **BARE))
    assert record.status is RunStatus.DONE
    path = engine.runtime.state.path
    assert path is not None
    workflow, hit = workflows.run_id(record.run, 1), tmp_path / "hit"
    with sqlite3.connect(path) as connection:
        changed = connection.execute(
            "UPDATE operation_outputs SET output = ?, serialization = 'py_pickle' WHERE workflow_uuid = ?",
            (planted(hit), workflow),
        )
        assert changed.rowcount > 0
    DBOS.list_workflow_steps(workflow)
    with pytest.raises(Refused) as refused:
        deserialize_value(planted(hit), "py_pickle", json_serializer())
    assert refused.value.code == "pickle"
    assert not hit.exists()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM operation_outputs WHERE workflow_uuid = ?", (workflow,))


def test_nothing_that_dbos_stored_is_pickled(engine: Engine, site: Site) -> None:
    carry_out(engine, site.fleet(["FILE01"], **BARE))
    path = engine.runtime.state.path
    assert path is not None
    with sqlite3.connect(path) as connection:
        used = {r[0] for r in connection.execute("SELECT DISTINCT serialization FROM operation_outputs")}
        used |= {r[0] for r in connection.execute("SELECT DISTINCT serialization FROM workflow_status")}
    assert used <= {"portable_json", None}
