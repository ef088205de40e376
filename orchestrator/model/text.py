"""Makes foreign text safe to show: names and notes from hypervisors and guests may hold escape sequences.
Pure."""

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that steer a terminal or a layout (ESC, bidi overrides, zero width) instead of showing
something."""


def printable(text: str, limit: int = 2000) -> str:
    """Return `text` on one line with every control, format and unassigned character shown as `\\xNN` or
    `\\uNNNN`.

    Longer than `limit` characters: cut, and marked with an ellipsis.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(_shown(char) for char in cut)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
