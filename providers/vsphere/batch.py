"""Properties of many objects in few calls.

Whoever asks while another question is under way is answered by the next one, together with all others who
asked meanwhile: so reads of many threads become few calls, and none waits for a timer. Paged answers are
read to their end. Unset properties are absent. Reads only.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

_PC = vmodl.query.PropertyCollector
PAGE = 500
"""Objects in one answer of a long listing."""

Props = Mapping[str, Any]
"""Properties of one object by path; what is unset, or may not be seen, is absent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One object of an answer."""

    obj: Any
    props: Props

    @property
    def id(self) -> str:
        """The managed object id."""
        return str(self.obj._moId)


@dataclass(slots=True)
class _Question:
    specs: tuple[Any, ...]
    answer: dict[str, Seen] | None = None
    error: Exception | None = None


@dataclass(slots=True)
class Batch:
    """Asks one property collector for all threads of a connection. `collector` is called for each question,
    for it may be another one after a new login."""

    collector: Callable[[], Any]
    _open: list[_Question] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, *specs: Any) -> dict[str, Seen]:
        """Return what filter specs select, by managed object id. Raises pyvmomi's faults.

        There may be more in it than was asked for: what others asked for in the same call. A spec that
        several threads ask for, the same object, is asked for once.
        """
        mine = _Question(specs)
        with self._guard:
            self._open.append(mine)
        with self._turn:
            if mine.answer is None and mine.error is None:
                with self._guard:
                    batch, self._open = self._open, []
                self._answer(batch)
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None  # noqa: S101  # one of the two is set
        return mine.answer

    def _answer(self, batch: list[_Question]) -> None:
        try:
            found = _together(self.collector(), [spec for question in batch for spec in question.specs])
            for question in batch:
                question.answer = found
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            # One object that is gone spoils the answer for all: ask for each alone.
            for question in batch:
                self._answer([question])


def _together(collector: Any, specs: list[Any]) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    for seen in read(collector, list({id(spec): spec for spec in specs}.values())):
        before = found.get(seen.id)
        found[seen.id] = seen if before is None else Seen(seen.obj, {**before.props, **seen.props})
    return found


def read(collector: Any, specs: list[Any], *, page: int | None = None) -> Iterator[Seen]:
    """Yield what the specs select, page by page. Raises pyvmomi's faults."""
    part = collector.RetrievePropertiesEx(specs, _PC.RetrieveOptions(maxObjects=page))
    while part is not None:
        for content in part.objects:
            yield Seen(content.obj, {p.name: p.val for p in content.propSet})
        part = collector.ContinueRetrievePropertiesEx(part.token) if part.token else None


def of(kind: type, objects: Iterable[Any], paths: Sequence[str], *along: Any) -> Any:
    """Return the filter spec for these paths of these objects; `along`: what `toward` gave."""
    selected = [hop.selection for hop in along]
    return _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=obj, selectSet=selected) for obj in objects],
        propSet=[_props(kind, paths), *(hop.props for hop in along)],
        reportMissingObjectsInResults=False,
    )


@dataclass(frozen=True, slots=True)
class Hop:
    """A way from one object to others, and what is read of those."""

    selection: Any
    props: Any


def toward(start: type, path: str, kind: type, paths: Sequence[str]) -> Hop:
    """Return the way along property `path` of `start` to objects of `kind`, of which `paths` are read."""
    selection = _PC.TraversalSpec(name=f"{start.__name__}-{path}", type=start, path=path, skip=False)
    return Hop(selection, _props(kind, paths))


def everything(view: Any, kind: type, paths: Sequence[str]) -> Any:
    """Return the filter spec for all objects of `kind` in a container view."""
    walk = _PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    return _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])], propSet=[_props(kind, paths)]
    )


def _props(kind: type, paths: Sequence[str]) -> Any:
    return _PC.PropertySpec(type=kind, pathSet=list(paths), all=False)
