"""The child really is shut in, and every way in which it can end badly ends in a clear FerryError."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.sandbox import (
    Limits,
    SandboxLevel,
    confine,
    run_in_sandbox,
    run_tool,
    runner,
    sandbox_status,
)

HERE = Path(__file__).parent
QUICK = Limits(memory=512 * confine.MIB, cpu=2, wall=20.0, output=100_000)


def run(name: str, argument: Any = None, limits: Limits = QUICK, **more: Any) -> Any:
    return run_in_sandbox(f"probe:{name}", argument, limits=limits, path=[HERE], **more)


def failure(name: str, argument: Any = None, limits: Limits = QUICK, **more: Any) -> FerryError:
    with pytest.raises(FerryError) as caught:
        run(name, argument, limits, **more)
    return caught.value


@pytest.fixture
def limits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that forbids namespaces."""
    status = confine.SandboxStatus(SandboxLevel.LIMITS, "as if")
    monkeypatch.setattr(confine, "sandbox_status", lambda: status)


def test_this_machine_has_the_full_sandbox() -> None:
    assert sandbox_status().level is SandboxLevel.FULL


def test_status_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    status = sandbox_status.__wrapped__()
    assert status.level is SandboxLevel.LIMITS
    assert "bubblewrap" in status.reason


def test_argument_and_result_come_through() -> None:
    assert run("echo", {"a": [1, "ü"]}) == {"a": [1, "ü"]}


def test_questions_are_answered() -> None:
    assert run("asks", ["a", "b"], answer=bytes.upper) == ["A", "B"]


def test_an_error_of_the_answering_side_comes_through() -> None:
    def answer(_: bytes) -> bytes:
        raise KeyError("disk")

    with pytest.raises(KeyError, match="disk"):
        run("asks", ["a"], answer=answer)


def test_no_file_of_the_machine_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    paths = ["/etc/passwd", "/etc/hostname", str(tmp_path / "secret"), str(Path.home()), "/proc/1/environ"]
    assert not {"root", "secret"} & {text[:6] for text in run("reads", paths).values()}
    assert run("reads", ["/etc/passwd"])["/etc/passwd"] == "FileNotFoundError"


def test_nothing_can_be_written() -> None:
    assert run("writes", str(HERE / "made")) == "OSError"
    assert not (HERE / "made").exists()


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert run("connects", server.getsockname()[1]) != "connected"
    assert run("interfaces") == ["lo"]


def test_environment_and_processes_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_SECRET", "hush")
    assert "FERRY_SECRET" not in run("environment")
    assert not run("processes")


def test_a_memory_bomb_ends_in_a_clear_error() -> None:
    fault = failure("memory", 900 * confine.MIB)
    assert (fault.code, "memory" in fault.message) == ("sandbox-memory", True)


def test_an_endless_loop_ends_at_the_processor_limit() -> None:
    fault = failure("spins", limits=Limits(cpu=1, wall=30.0))
    assert (fault.code, "processor time" in fault.message) == ("sandbox-timeout", True)


def test_a_sleeper_ends_at_the_wall_limit_and_is_gone() -> None:
    start = time.monotonic()
    fault = failure("sleeps", limits=Limits(wall=0.7))
    assert fault.code == "sandbox-timeout"
    assert time.monotonic() - start < 10


def test_too_much_output_is_refused() -> None:
    assert failure("floods", 200_000).code == "sandbox-output"
    assert failure("big_question", 100_000, answer=bytes.upper).code == "sandbox-output"


def test_a_crash_names_its_signal() -> None:
    fault = failure("dies")
    assert (fault.code, "signal 6" in fault.message) == ("sandbox-crash", True)


def test_a_child_that_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the argument unread: to the parent a reset, not an end."""
    here = confine.confined
    monkeypatch.setattr(runner, "confined", lambda *args, **more: [*here(*args, **more)[:-4], "no_such"])
    fault = failure("echo", "x")
    assert fault.code == "sandbox-crash"
    assert "crashed (exit code 1)" in fault.message
    assert "No module named no_such" in fault.message


def test_a_child_that_ends_before_an_answer_is_read_has_crashed() -> None:
    fault = failure("asks_and_exits", answer=bytes.upper)
    assert (fault.code, "exit code 3" in fault.message) == ("sandbox-crash", True)


def test_what_the_function_writes_to_stderr_is_not_told() -> None:
    fault = failure("complains_and_exits", "guest text")
    assert (fault.code, "exit code 3" in fault.message) == ("sandbox-crash", True)
    assert "guest" not in fault.message


def test_an_unexpected_exception_tells_no_guest_text() -> None:
    fault = failure("raises")
    assert fault.code == "sandbox-crash"
    assert "ValueError at probe.py:" in fault.message
    assert "guest" not in fault.message


def test_its_own_errors_come_through_cleaned() -> None:
    fault = failure("fails")
    assert fault.message == "the hive is damaged\\x1b[31m"
    assert (fault.hint, fault.code) == ("take another", "damaged")


@pytest.mark.usefixtures("limits_only")
def test_without_namespaces_the_limits_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_SECRET", "hush")
    assert run("echo", 1) == 1
    assert "FERRY_SECRET" not in run("environment")
    assert failure("memory", 900 * confine.MIB).code == "sandbox-memory"
    assert failure("spins", limits=Limits(cpu=1, wall=30.0)).code == "sandbox-timeout"


# Tools.


def test_a_tool_gives_its_output_or_its_cleaned_last_words() -> None:
    assert run_tool(["echo", "hello"], QUICK) == b"hello\n"
    with pytest.raises(FerryError, match=r"bad\\x1b$") as caught:
        run_tool(["sh", "-c", "echo one >&2; printf 'bad\\033' >&2; exit 3"], QUICK)
    assert "\x1b" not in caught.value.message
    assert "one" not in caught.value.message


@pytest.mark.parametrize(
    ("script", "limits", "code"),
    [
        ("sleep 60", Limits(wall=0.5), "tool-timeout"),
        ("head -c 300000 /dev/zero", QUICK, "tool-failed"),
        ("while :; do :; done", Limits(cpu=1, wall=30.0), "tool-failed"),
    ],
)
def test_a_tool_is_held_to_its_limits(script: str, limits: Limits, code: str) -> None:
    with pytest.raises(FerryError) as caught:
        run_tool(["sh", "-c", script], limits)
    assert caught.value.code == code


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(FerryError, match="no-such-tool is not installed"):
        run_tool(["no-such-tool"], QUICK)


@pytest.mark.parametrize("level", list(SandboxLevel))
def test_a_confined_server_dies_with_its_parent(level: SandboxLevel) -> None:
    script = f"""
import subprocess, sys
from orchestrator.sandbox import confine
status = confine.SandboxStatus(confine.SandboxLevel({level.value!r}), "")
confine.sandbox_status = lambda: status
held = subprocess.Popen(confine.confined(["cat"], confine.Limits(cpu=None)), stdin=subprocess.PIPE,
                        stdout=int(sys.argv[1]))
held.stdin.write(b"up")
held.stdin.flush()
sys.stdin.read()
"""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(writer)], stdin=subprocess.PIPE, pass_fds=[writer]
    ) as parent:
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as stream:
            assert stream.read(2) == b"up"
            # The parent cannot say goodbye, and cat's input stays open: only the signal can end it.
            os.kill(parent.pid, signal.SIGSTOP)
            assert not select.select([stream], [], [], 0.1)[0]
            parent.kill()
            assert select.select([stream], [], [], 10)[0]
            assert stream.read(1) == b""


def test_last_words_are_the_last_line_only(tmp_path: Path) -> None:
    with (tmp_path / "words").open("w+b") as stream:
        stream.write(b"one\n" * 5000 + b"two\n")
        assert confine.last_words(stream) == "two"
