"""Cuts pieces off a source of bytes that can only be read forward. It must not know any format."""

from typing import Protocol

_CHUNK = 1 << 20


class DamagedError(Exception):
    """The stream is not whole, or not what it must be, which shows at byte `at`."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"at byte {at}: {why}")


class Source(Protocol):
    """Where the bytes come from: read forward, once."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, at least one; none at the end."""
        ...


class Forward:
    """Cuts pieces off a source. `at` is the byte that comes next."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunk = memoryview(b"")
        self._next = 0
        self.at = 0

    def look(self, length: int) -> memoryview:
        """Return the next `length` bytes, fewer at the end, and leave them there."""
        while len(self._chunk) - self._next < length and (more := self._source.read(_CHUNK)):
            rest = self._chunk[self._next :]
            self._chunk, self._next = memoryview(b"".join((rest, more)) if rest else more), 0
        return self._chunk[self._next : self._next + length]

    def take(self, length: int) -> memoryview:
        """Return the next `length` bytes. DamagedError where there are fewer."""
        piece = self._chunk[self._next : self._next + length]
        self._next += len(piece)
        if len(piece) < length:
            piece = self._across(piece, length)
        self.at += length
        return piece

    def skip_to(self, at: int) -> None:
        """Pass over what comes before byte `at`. DamagedError where that lies behind, or past the end."""
        if at < self.at:
            raise DamagedError(self.at, f"it points back to byte {at}, but can only be read forward")
        while left := at - self.at:
            self.take(min(left, _CHUNK))

    def _across(self, piece: memoryview, length: int) -> memoryview:
        """Finish a piece that lies across chunks: only it is copied, not the whole chunk."""
        parts, missing = [piece], length - len(piece)
        while missing:
            more = self._source.read(_CHUNK)
            if not more:
                raise DamagedError(self.at + length - missing, "it is cut")
            self._chunk, self._next = memoryview(more), min(missing, len(more))
            parts.append(self._chunk[: self._next])
            missing -= self._next
        return memoryview(b"".join(parts))
