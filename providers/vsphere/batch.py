"""Properties of many objects in few calls.

Whoever asks while others' questions are under way is answered by the next one, together with all who asked
meanwhile: so reads of many threads become few calls. Objects of which the same is read are asked for
together, and an object that several lead to is answered once. Paged answers are
read to their end. Unset properties are absent. Reads only.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

_PC = vmodl.query.PropertyCollector
PAGE = 500
"""Objects in one answer of a long listing."""

_GATHER, _GATHER_PART, _GATHER_MOST = 0.001, 0.05, 0.02
"""Seconds before each call, or that part of what the last one took: little beside it, and enough for those
who were just answered together to ask together again."""

_UNDER_WAY = 2
"""Calls at a time."""

_PATIENCE = 0.03
"""Seconds that a call must have been under way before another one is begun beside it: who asks meanwhile asks
together."""

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


@dataclass(frozen=True, slots=True)
class Hop:
    """The way along property `path` of objects of type `start` to others of `kind`, of which `paths` are
    read."""

    start: type
    path: str
    kind: type
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects, the property paths that are read of them, and the ways from them to others."""

    kind: type
    objects: tuple[Any, ...]
    paths: tuple[str, ...]
    along: tuple[Hop, ...]


@dataclass(slots=True, eq=False)
class _Question:
    specs: tuple[Any, ...]
    answer: dict[str, Seen] | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether it has an answer, or never will."""
        return self.answer is not None or self.error is not None


@dataclass(slots=True)
class Batch:
    """Asks one property collector for all threads of a connection. `collector` is called for each question,
    for it may be another one after a new login."""

    collector: Callable[[], Any]
    _open: list[_Question] = field(default_factory=list)
    _gathering: bool = False
    _under_way: int = 0
    _began: float = 0.0
    _took: float = 0.0
    _change: threading.Condition = field(default_factory=threading.Condition)

    def ask(self, *specs: Any) -> dict[str, Seen]:
        """Return what selections, and filter specs, select, by managed object id. Raises pyvmomi's faults.

        There may be more in it than was asked for: what others asked for in the same call. A filter spec
        that several threads ask for, the same object, is asked for once.
        """
        mine = _Question(specs)
        with self._change:
            self._open.append(mine)
            while not (mine.done or self._my_turn(mine)):
                self._change.wait(_PATIENCE)
            turn = not mine.done
            if turn:
                self._gathering, self._under_way = True, self._under_way + 1
        if turn:
            self._ask_for_all()
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None  # noqa: S101  # one of the two is set
        return mine.answer

    def _my_turn(self, mine: _Question) -> bool:
        """Tell whether to make the next call: nobody is about to, and nobody has this question in hand."""
        if self._gathering or mine not in self._open:
            return False
        late = time.monotonic() - self._began >= _PATIENCE
        return self._under_way == 0 or (late and self._under_way < _UNDER_WAY)

    def _ask_for_all(self) -> None:
        try:
            time.sleep(min(max(_GATHER, self._took * _GATHER_PART), _GATHER_MOST))
            with self._change:
                batch, self._open, self._gathering = self._open, [], False
                self._began = began = time.monotonic()
            self._answer(batch)
            self._took = time.monotonic() - began
        finally:
            # A condition, not a lock to take in turn: who has an answer must not wait behind who asks next.
            with self._change:
                self._under_way -= 1
                self._change.notify_all()

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
    for seen in read(collector, filters(specs)):
        before = found.get(seen.id)
        found[seen.id] = seen if before is None else Seen(seen.obj, {**before.props, **seen.props})
    return found


def filters(specs: Iterable[Any]) -> list[Any]:
    """Return the filter specs that select all this: one for all objects of which the same is read; the same
    filter spec only once."""
    alike: dict[tuple[type, tuple[str, ...], tuple[Hop, ...]], dict[str, Any]] = {}
    others: dict[int, Any] = {}
    for one in specs:
        if isinstance(one, Selection):
            objects = alike.setdefault((one.kind, one.paths, one.along), {})
            objects.update({obj._moId: obj for obj in one.objects})
        else:
            others[id(one)] = one
    return [*(_filter(*what, of_them.values()) for what, of_them in alike.items()), *others.values()]


def _filter(kind: type, paths: Sequence[str], along: Sequence[Hop], objects: Iterable[Any]) -> Any:
    ways = [
        _PC.TraversalSpec(name=f"{hop.start.__name__}-{hop.path}", type=hop.start, path=hop.path, skip=False)
        for hop in along
    ]
    return _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=obj, selectSet=ways) for obj in objects],
        propSet=[_props(kind, paths), *(_props(hop.kind, hop.paths) for hop in along)],
        reportMissingObjectsInResults=False,
    )


def read(collector: Any, specs: list[Any], *, page: int | None = None) -> Iterator[Seen]:
    """Yield what the specs select, page by page. Raises pyvmomi's faults."""
    part = collector.RetrievePropertiesEx(specs, _PC.RetrieveOptions(maxObjects=page))
    while part is not None:
        for content in part.objects:
            yield Seen(content.obj, {p.name: p.val for p in content.propSet})
        part = collector.ContinueRetrievePropertiesEx(part.token) if part.token else None


def of(kind: type, objects: Iterable[Any], paths: Sequence[str], *along: Hop) -> Selection:
    """Return the selection of these paths of these objects."""
    return Selection(kind, tuple(objects), tuple(paths), along)


def everything(view: Any, kind: type, paths: Sequence[str]) -> Any:
    """Return the filter spec for all objects of `kind` in a container view."""
    walk = _PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    return _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])], propSet=[_props(kind, paths)]
    )


def _props(kind: type, paths: Sequence[str]) -> Any:
    return _PC.PropertySpec(type=kind, pathSet=list(paths), all=False)
