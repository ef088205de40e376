"""The one place that reads the clock; everything below is handed the time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time now, aware, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
