"""What starts a scheduled task, in words ("daily at 22:00", "at start")."""

import re
from collections.abc import Iterator

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.facts.xml import Element

_MAX_TRIGGERS = 48
_SIMPLE = {
    "BootTrigger": "at start",
    "LogonTrigger": "at logon",
    "IdleTrigger": "when idle",
    "RegistrationTrigger": "when registered",
    "EventTrigger": "on an event",
    "SessionStateChangeTrigger": "on a change of session",
    "WnfStateChangeTrigger": "on a change of state",
}
_ALL_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ALL_MONTHS = 12


def triggers(task: Element) -> tuple[str, ...]:
    """Return the triggers of a task document in its own order, each in words."""
    holder = task.first("Triggers")
    found = holder.children[:_MAX_TRIGGERS] if holder else []
    return tuple(clean(_words(one), NAME) for one in found)


def _words(trigger: Element) -> str:
    off = trigger.value("Enabled").lower() in ("false", "0")
    every = _span(trigger.value("Repetition/Interval"))
    parts = [
        _when(trigger),
        f"every {every}" if every else "",
        f"after {delay}" if (delay := _span(trigger.value("Delay"))) else "",
        "(disabled)" if off else "",
    ]
    return " ".join(part for part in parts if part)


def _when(trigger: Element) -> str:
    start = trigger.value("StartBoundary")
    clock = f" at {match[1]}" if (match := re.search(r"T([0-9]{2}:[0-9]{2})", start)) else ""
    if trigger.name == "CalendarTrigger":
        return next((f"{words}{clock}" for words in _calendar(trigger)), f"by calendar{clock}")
    if trigger.name == "TimeTrigger":
        return f"once on {start[:10]}{clock}"
    words = _SIMPLE.get(trigger.name, trigger.name)
    who = trigger.value("UserId")
    return f"{words} of {who}" if who else words


def _calendar(trigger: Element) -> Iterator[str]:
    for schedule in trigger.children:
        match schedule.name:
            case "ScheduleByDay":
                days = schedule.value("DaysInterval")
                yield "daily" if days in ("", "1") else f"every {days} days"
            case "ScheduleByWeek":
                yield f"{_weeks(schedule)} on {_days(schedule)}"
            case "ScheduleByMonth":
                days = ", ".join(day.text.strip() for day in schedule.all("DaysOfMonth/Day"))
                yield f"{_months(schedule)} on day {days}"
            case "ScheduleByMonthDayOfWeek":
                weeks = ", ".join(week.text.strip() for week in schedule.all("Weeks/Week"))
                yield f"{_months(schedule)} in week {weeks} on {_days(schedule)}"


def _weeks(schedule: Element) -> str:
    weeks = schedule.value("WeeksInterval")
    return "weekly" if weeks in ("", "1") else f"every {weeks} weeks"


def _days(schedule: Element) -> str:
    days = {day.name for holder in schedule.all("DaysOfWeek") for day in holder.children}
    known = [day for day in _ALL_DAYS if day in days]
    return "every day" if len(known) == len(_ALL_DAYS) else ", ".join(known)


def _months(schedule: Element) -> str:
    months = [month.name for holder in schedule.all("Months") for month in holder.children]
    return "monthly" if len(months) in (0, _ALL_MONTHS) else f"in {', '.join(months)}"


def _span(text: str) -> str:
    """Turn "PT1H30M" into "1h30m", "P1D" into "1d"; what is no such span is left out."""
    match = re.fullmatch(
        r"P(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,4})H)?(?:([0-9]{1,4})M)?(?:([0-9]{1,5})S)?)?", text
    )
    units = zip(match.groups(), "dhms", strict=True) if match else ()
    return "".join(f"{count}{unit}" for count, unit in units if count)
