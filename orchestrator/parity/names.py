"""How Windows compares names, and what a product is called without version and architecture. Pure text."""

import re

_ARCH = re.compile(r"\(?\b(?:x64|x86|amd64|32-?bit|64-?bit)(?:[ ,]+(?:x64|x86|edition))?\b\)?(?: edition)?")
_VERSION = re.compile(r"\bv?\d+(?:\.\d+)+\S*")
_MARKS = re.compile(r"[\u00ae\u2122\u00a9]|\((?:r|tm|c)\)")
_EMPTY = re.compile(r"\(\s*\)|\[\s*\]")
_ENDS = " \t-_,;:"


def windows_key(text: str) -> str:
    """Return the form under which Windows takes two names for the same: upper case, character by character.

    Not casefold: Windows does not take "ß" for "ss", nor a dotless i for "I".
    """
    return text.upper() if text.isascii() else "".join(_upper(c) for c in text)


def _upper(char: str) -> str:
    up = char.upper()
    return up if len(up) == 1 and up.lower() == char.lower() else char


def product_name(name: str, version: str = "") -> str:
    """Return a product's name in lower case without version, architecture and trade marks.

    "7-Zip 23.01 (x64)" gives "7-zip". Years stay ("microsoft visual c++ 2008 redistributable"): products of
    different years stand side by side.
    """
    text = _MARKS.sub("", name.lower())
    text = _VERSION.sub(" ", _ARCH.sub(" ", text))
    text = _EMPTY.sub(" ", text)
    words = text.split()
    if len(words) > 1 and version and words[-1] == version.lower().split(".")[0] and len(words[-1]) < 4:
        words = words[:-1]
    if len(words) > 1 and words[-1] == "version":
        words = words[:-1]
    return " ".join(words).strip(_ENDS) or " ".join(name.lower().split())


def version_numbers(version: str) -> tuple[int, ...] | None:
    """Return the numbers of a version without trailing zeros, to be compared; None where there is none."""
    numbers = [int(part) for part in re.findall(r"\d{1,9}", version)[:6]]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers) or None


def squeeze(text: str) -> str:
    """Return text with runs of white space made one blank, none at the ends."""
    return " ".join(text.split())
