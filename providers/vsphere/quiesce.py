"""How vCenter is asked for a snapshot of each consistency, and what its refusals mean. Pure: no call but the
returned one."""

from collections.abc import Callable, Iterator
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import unsupported
from orchestrator.model.machine import Consistency
from orchestrator.model.network import Finding
from providers.vsphere.batch import Props
from providers.vsphere.faults import QUIESCE

QUIESCED = (Consistency.FILESYSTEM, Consistency.APPLICATION)
TOOLS_PATH = "guest.toolsRunningStatus"
DISABLED_PATH = "disabledMethod"

_MINUTES = 15
"""How long a guest may take to quiesce; vCenter takes 5 to 240."""
_VSS_COPY = 5
"""VSS_BT_COPY: the site's own backups must not take this for one of theirs."""
_EX_SINCE = (6, 5)
"""The API with CreateSnapshotEx."""
_QUIESCING = "QUIESC"
"""In the key (never in the text) of the message that a host gives for a failed quiesce under a general
fault."""


def creation(
    vm: Any, props: Props, api: str, name: str, description: str, consistency: Consistency
) -> Callable[[], Any]:
    """Return the call that starts the task. Raises ProviderError: UNSUPPORTED."""
    memory = consistency is Consistency.MEMORY
    windows = str(props.get("config.guestId", "")).startswith("win")
    if consistency is Consistency.APPLICATION and not windows:
        what = "an application-consistent snapshot of a guest that is not Windows"
        raise unsupported(what, "ask for filesystem: VMware Tools run the guest's own freeze scripts")
    if _version(api) >= _EX_SINCE:
        spec = quiesce_spec(consistency, windows=windows)
        return lambda: vm.CreateSnapshotEx_Task(name, description, memory, spec)
    if consistency is Consistency.APPLICATION:
        what = f"an application-consistent snapshot with API {api}"
        raise unsupported(what, "update vCenter to 6.5, or ask for filesystem")
    return lambda: vm.CreateSnapshot_Task(name, description, memory, consistency is Consistency.FILESYSTEM)


def quiesce_spec(consistency: Consistency, *, windows: bool) -> Any | None:
    """Return what the guest shall do before the snapshot; None: nothing.

    Never VSS's automatic context: it steps down to the file system without a word.
    """
    if consistency not in QUIESCED:
        return None
    if not windows:
        return vim.vm.GuestQuiesceSpec(timeout=_MINUTES)
    application = consistency is Consistency.APPLICATION
    return vim.vm.WindowsQuiesceSpec(
        timeout=_MINUTES,
        vssBackupType=_VSS_COPY,
        vssBootableSystemState=False,
        vssPartialFileSupport=False,
        vssBackupContext="ctx_backup" if application else "ctx_file_share_backup",
    )


def hindrances(props: Props, consistency: Consistency) -> Iterator[Finding]:
    """Yield what only vCenter's own properties tell, just before a snapshot."""
    status = str(props.get(TOOLS_PATH, "guestToolsNotRunning"))
    if consistency in QUIESCED and status == "guestToolsNotRunning":
        detail = "VMware Tools do not run in the guest, so nobody would quiesce it"
        yield Finding(check=f"{consistency} consistency", ok=False, detail=detail)
    if "CreateSnapshot_Task" in (props.get(DISABLED_PATH) or ()):
        detail = "vCenter has switched them off for this machine: a backup, or a setting of it"
        yield Finding(check="snapshot operations", ok=False, detail=detail)


_EXPLAINED: tuple[tuple[type[Exception], str], ...] = (
    (vim.fault.TooManySnapshotLevels, "32 is the hypervisor's limit: remove snapshots first"),
    (vim.fault.SnapshotLocked, "a backup or a consolidation holds the machine's snapshots; let it end"),
    (vim.fault.SnapshotDisabled, "allow snapshots in the machine's configuration (snapshot.maxSnapshots)"),
    (
        vim.fault.SnapshotIncompatibleDeviceInVm,
        "a device allows no snapshot; shut it down first",
    ),
    (vim.fault.MemorySnapshotOnIndependentDisk, "ask for crash or quiesced consistency, or shut it down"),
    (vim.fault.MultipleSnapshotsNotSupported, "this machine can have only one: remove the other first"),
    (vmodl.fault.NotSupported, "the host, or a device of the machine, allows no such snapshot"),
)


def explained(error: ProviderError) -> ProviderError:
    """Return the error of a failed snapshot in words that say what to do now. The cause stays."""
    if _is_quiesce(error.__cause__):
        message = f"{error.message}; a quiesce that failed may leave the guest frozen"
        hint = (
            "look at the guest now: its console, its writes. Then shut it down and ask for `offline`, "
            "or ask for `crash` on purpose: nothing steps down by itself"
        )
        return _same(error, message, hint)
    for fault, hint in _EXPLAINED:
        if isinstance(error.__cause__, fault):
            return _same(error, error.message, hint)
    return error


def _is_quiesce(fault: BaseException | None) -> bool:
    if isinstance(fault, QUIESCE):
        return True
    said = getattr(fault, "faultMessage", None) or ()
    return any(_QUIESCING in str(one.key or "") for one in said)


def _same(error: ProviderError, message: str, hint: str) -> ProviderError:
    kind = ErrorKind.PERMANENT if _is_quiesce(error.__cause__) else error.kind
    made = ProviderError(kind, message, hint=hint, sdk_code=error.sdk_code)
    made.__cause__ = error.__cause__
    return made


def _version(api: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api.split(".")[:2] if part.isdigit())
