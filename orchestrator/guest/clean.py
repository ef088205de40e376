"""Makes guest text harmless: no control or direction characters, no endless length.

Meaning is not judged here.
"""

import unicodedata

NAME, LINE = 256, 1024
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(text: str, limit: int = LINE) -> str:
    """Return `text` trimmed and cut at `limit`; control and direction characters become U+FFFD, so that they
    show.
    """
    kept = text[: limit + 1].strip()
    if not kept.isprintable():  # a quick look first: nearly all text is
        kept = "".join("\ufffd" if unicodedata.category(c) in _DROPPED else c for c in kept)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
