"""Child processes under limits: tools that open hostile images, parsers that read hostile bytes."""

from orchestrator.sandbox.confine import (
    Limits,
    SandboxLevel,
    SandboxStatus,
    confined,
    last_words,
    run_tool,
    sandbox_status,
)
from orchestrator.sandbox.runner import Answer, run_in_sandbox

__all__ = [
    "Answer",
    "Limits",
    "SandboxLevel",
    "SandboxStatus",
    "confined",
    "last_words",
    "run_in_sandbox",
    "run_tool",
    "sandbox_status",
]
