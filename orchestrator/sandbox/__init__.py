"""Child processes under limits: tools that open hostile images, parsers that read hostile bytes."""

from orchestrator.sandbox.confine import (
    Limits,
    SandboxLevel,
    SandboxStatus,
    confined,
    last_words,
    printable,
    run_tool,
    sandbox_status,
)

__all__ = [
    "Limits",
    "SandboxLevel",
    "SandboxStatus",
    "confined",
    "last_words",
    "printable",
    "run_tool",
    "sandbox_status",
]
