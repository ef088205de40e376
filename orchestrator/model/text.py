"""Makes foreign text safe to show: names and notes from hypervisors and guests may hold escape sequences.
Pure."""


def printable(text: str, limit: int = 2000) -> str:
    """Return `text` on one line with every character that steers a terminal or a layout shown as `\\xNN` or
    `\\uNNNN`.

    Longer than `limit` characters: cut, and marked with an ellipsis.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else "".join(_shown(char) for char in cut)


def _shown(char: str) -> str:
    # Not printable: control, format (bidi, zero width), surrogate, unassigned, every separator but the space.
    if char.isprintable():
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
