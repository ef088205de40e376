"""When are two definitions of a domain the same? Used where a run was taken back."""

from __future__ import annotations

from xml.etree import ElementTree

EMPTY_AFTER_A_RUN = ("./metadata",)
"""XPaths that may differ after apply and undo: libvirt 9.0 leaves this element behind, empty, when the last
mark in it was taken off. Only an empty one is left out of the comparison."""


def comparable(root: ElementTree.Element) -> str:
    """A domain's definition as canonical text, without what EMPTY_AFTER_A_RUN names where it is empty."""
    for path in EMPTY_AFTER_A_RUN:
        for child in root.findall(path):
            if len(child) == 0 and not (child.text or "").strip():
                root.remove(child)
    return ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"), strip_text=True)
