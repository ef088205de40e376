"""Local accounts. Password hashes are never read."""

from orchestrator.model.base import Value


class User(Value):
    """A local user. `rid` is the last part of the SID (500 is the built-in administrator)."""

    name: str
    rid: int
    enabled: bool | None
    full_name: str = ""
    comment: str = ""


class Group(Value):
    """A local group. `members` are names, or SIDs where no name is known."""

    name: str
    rid: int
    members: tuple[str, ...]
    comment: str = ""
