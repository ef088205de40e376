"""The connection to one vCenter, and the only ways in which this package calls it: `read`, `fetch`, `act`,
`run`.

All turn pyvmomi's exceptions into ProviderError. A read logs in again, once, where the session has ended;
nothing else is repeated. `act` and `run` check the lease first, and are never repeated: a lost reply is
UNCERTAIN.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ResolveSecret
from orchestrator.model.endpoint import EndpointSettings
from providers.vsphere.batch import PAGE, Batch, Seen, everything, read
from providers.vsphere.faults import BROKEN, UNCERTAIN_HINT, from_fault
from providers.vsphere.outbox import Outbox
from providers.vsphere.session import Session
from providers.vsphere.settings import decode
from providers.vsphere.tasks import Tasks

T = TypeVar("T")

TASK_SECONDS = 3600.0
"""How long a task may run before its outcome counts as unknown. Merging a large disk takes its time."""
_ERRORS = (vmodl.MethodFault, *BROKEN)


class Link:
    """A session that is opened when needed. Shared between threads."""

    def __init__(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> None:
        self.endpoint = endpoint.name
        self.settings = decode(endpoint)
        self.secrets = secrets
        self._parallel = endpoint.max_parallel
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._logins = 0
        self._batch = Batch(lambda: self.content.propertyCollector)
        self._tasks: Tasks | None = None
        self._outbox = Outbox()

    @property
    def session(self) -> Session:
        """The session, opened now if it is not yet. Raises ProviderError: TRANSIENT, DENIED."""
        with self._guard:
            if self._session is None:
                self._session = Session(self.settings, self.secrets, self._parallel)
                self._tasks = Tasks(self._batch, self._session.content.propertyCollector)
            return self._session

    @property
    def content(self) -> Any:
        """The service content: the managers."""
        return self.session.content

    @property
    def tasks(self) -> Tasks:
        """The waiter."""
        self.open()
        assert self._tasks is not None  # noqa: S101  # comes with the session
        return self._tasks

    def open(self) -> None:
        """Log in now. Raises ProviderError."""
        assert self.session is not None  # noqa: S101  # opens it

    def close(self) -> None:
        """Make the calls that were left for later, log out. Repeatable."""
        self._outbox.flush()
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def obj(self, kind: type[T], moid: str) -> T:
        """Return the managed object of this id; no call."""
        return kind(moid, self.session.stub)  # type: ignore[call-arg]  # every managed type takes (id, stub)

    def read(self, what: str, call: Callable[[], T]) -> T:
        """Make reading calls, logged in again once if the session has ended. Raises ProviderError."""
        logins = self._logins
        try:
            return call()
        except vim.fault.NotAuthenticated:
            self._again(logins, what)
        except _ERRORS as error:
            raise from_fault(error, what, mutation=False) from error
        try:
            return call()
        except _ERRORS as error:
            raise from_fault(error, what, mutation=False) from error

    def find(self, what: str, call: Callable[[], T]) -> T | None:
        """Make reading calls; None where the object is not there."""
        try:
            return self.read(what, call)
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def fetch(self, what: str, *specs: Any) -> dict[str, Seen]:
        """Return what filter specs select (see `batch.of`), by managed object id, in one call that others
        may share."""
        return self.read(what, lambda: self._batch.ask(*specs))

    def list_all(self, what: str, kinds: Sequence[Any], paths: Sequence[str], root: Any = None) -> list[Seen]:
        """Return these properties of all objects of these kinds, in pages, through a view made for it.

        Paths of several kinds are those that every managed entity has.
        """
        kind = kinds[0] if len(kinds) == 1 else vim.ManagedEntity

        def walk() -> list[Seen]:
            content = self.content
            top = content.rootFolder if root is None else root
            view = content.viewManager.CreateContainerView(top, list(kinds), True)
            try:
                return list(read(content.propertyCollector, [everything(view, kind, paths)], page=PAGE))
            finally:
                self.later(view.DestroyView)

        return self.read(what, walk)

    def later(self, call: Callable[[], object]) -> None:
        """Have a call made of which nothing depends: neither that it succeeds, nor when it is made."""
        self._outbox.put(call)

    def act(self, effect: Effect, what: str, call: Callable[[], T]) -> T:
        """Make one mutating call that does `what`, after the lease was checked. Raises ProviderError,
        LeaseLost."""
        self.open()  # logging in is no part of the mutation
        effect.before(what)
        try:
            return call()
        except _ERRORS as error:
            raise from_fault(error, what, mutation=True) from error

    def run(self, effect: Effect, what: str, start: Callable[[], Any], seconds: float = TASK_SECONDS) -> Any:
        """Start a task that does `what`, note its id, wait for its end; return its result.

        Raises ProviderError: of the task's own fault; UNCERTAIN where its end is not seen. LeaseLost.
        """
        return self.outcome(what, self.start(effect, what, start), seconds)

    def start(self, effect: Effect, what: str, start: Callable[[], Any]) -> Any:
        """Start a task that does `what` and note its id; return it. Raises ProviderError, LeaseLost."""
        task = self.act(effect, what, start)
        effect.task(what, task._moId)
        return task

    def outcome(self, what: str, task: Any, seconds: float = TASK_SECONDS) -> Any:
        """Wait for a task that does `what`; return its result. Raises ProviderError as `run`."""
        try:
            ended = self.tasks.wait(task, seconds)
        except TimeoutError as error:
            raise ProviderError(
                ErrorKind.UNCERTAIN, f"cannot {what} in time: {error}", hint=UNCERTAIN_HINT
            ) from None
        except _ERRORS as error:
            raise from_fault(error, what, mutation=True) from error
        if ended.get("info.state") == "error":
            fault = ended.get("info.error") or vmodl.fault.SystemError(msg="the task failed without a reason")
            raise from_fault(fault, what, mutation=True) from fault
        return ended.get("info.result")

    def settle(self, what: str, tasks: Iterable[Any], seconds: float = TASK_SECONDS) -> None:
        """Wait until tasks that somebody started earlier have ended, however. Raises ProviderError."""
        for task in tasks:
            try:
                self.read(what, partial(self.tasks.wait, task, seconds))
            except TimeoutError as error:
                raise ProviderError(ErrorKind.CONFLICT, f"cannot {what}: {error}") from None
            except ProviderError as error:
                if error.kind is not ErrorKind.NOT_FOUND:  # it ended long ago
                    raise

    def _again(self, logins: int, what: str) -> None:
        """Log in again, unless another thread just did."""
        with self._guard:
            if logins != self._logins or self._session is None:
                return
            try:
                self._session.login()
            except _ERRORS as error:
                raise from_fault(error, what, mutation=False) from error
            self._logins += 1
