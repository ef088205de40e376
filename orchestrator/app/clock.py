"""The one place that reads the clock; everything below is handed the time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time now, aware, in UTC, to the millisecond."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
