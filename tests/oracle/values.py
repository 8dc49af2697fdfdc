"""Time, intervals and quantiles: METRICS.md sections 1 and 4, without any event in sight."""

import datetime
import math
import re
from fractions import Fraction

SECOND = 1_000_000          # everything is kept in whole microseconds
DAY = 86_400 * SECOND
EPOCH = datetime.date(1970, 1, 1).toordinal()

INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))$"
)


def parse_instant(text):
    """'Timestamps carry an offset (refused without one) and are kept in UTC, to the microsecond.'
    'further digits are cut'. The result is microseconds since 1970-01-01T00:00:00Z."""
    found = INSTANT.match(text)
    if found is None:
        raise ValueError(f"not a timestamp with an offset: {text!r}")
    year, month, day, hour, minute, second, fraction, _zulu, sign, off_h, off_m = found.groups()
    days = datetime.date(int(year), int(month), int(day)).toordinal() - EPOCH
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign is not None:
        offset = int(off_h) * 3600 + int(off_m) * 60
        seconds += -offset if sign == "+" else offset
    micros = int((fraction or "0").ljust(6, "0")[:6])
    return days * DAY + seconds * SECOND + micros


def format_instant(instant):
    """'occurred_at and other instants always carry six fractional digits and Z'"""
    days, rest = divmod(instant, DAY)
    seconds, micros = divmod(rest, SECOND)
    date = format_day(days)
    return f"{date}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}Z"


def day_of(instant):
    """'A day is a UTC calendar day; midnight belongs to the day it begins.' Days are numbered from 1970-01-01."""
    return instant // DAY


def parse_day(text):
    return datetime.date.fromisoformat(text).toordinal() - EPOCH


def format_day(day):
    return datetime.date.fromordinal(day + EPOCH).isoformat()


def parse_day_or_instant(text):
    """A day written as a day, or the UTC day of an instant."""
    return parse_day(text) if len(text) == 10 else day_of(parse_instant(text))


def last_day_before(instant):
    """'D = last day before T': at midnight the day that has just ended, else the day T lies in."""
    return day_of(instant - 1)


def is_complete(day, instant):
    """'A day is complete when it has ended by T.'"""
    return (day + 1) * DAY <= instant


def in_trailing(day, width, instant):
    """'A trailing window of W days is the W days that end with the last day before T, that day included
    (as of D: D-W+1 ... D; now: today so far and the W-1 days before).'"""
    last = last_day_before(instant)
    return last - width + 1 <= day <= last


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text):
    """'24h', '28d', ...: whole seconds."""
    return int(text[:-1]) * UNITS[text[-1]]


def parse_days(text):
    seconds = parse_duration(text)
    if seconds % 86_400:
        raise ValueError(f"not whole days: {text!r}")
    return seconds // 86_400


def whole_seconds(micros):
    """'Durations are truncated to whole seconds'"""
    return micros // SECOND


def wilson(numerator, denominator):
    """'the 95 % Wilson interval (z = 1.959964, no continuity correction, clamped to 0...1).
    Denominator 0: no value'. Gives (value, low, high)."""
    if denominator == 0:
        return None, None, None
    z, n = 1.959964, denominator
    p = numerator / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, max(0.0, middle - half), min(1.0, middle + half)


QUANTILES = {"0.5": Fraction(1, 2), "0.9": Fraction(9, 10)}


def kaplan_meier(finished, censored, q):
    """'Where a subject may not have finished, quantiles are Kaplan-Meier: q is the smallest t with S(t) <= 1-q
    (equality within 1e-12 counts), none while the curve has not come down that far; at equal times events come
    before censorings; zero is allowed.' Survival is an exact fraction here."""
    survival = Fraction(1)
    for t in sorted(set(finished)):
        # Those censored at t itself are still at risk at t: events come before censorings.
        at_risk = sum(1 for other in finished if other >= t) + sum(1 for other in censored if other >= t)
        events = finished.count(t)
        survival *= Fraction(at_risk - events, at_risk)
        if survival <= 1 - q + Fraction(1, 10**12):
            return t
    return None


def observed(finished, q):
    """'`estimator=observed` gives the value at rank ceil(q*n) of the finished ones.'"""
    if not finished:
        return None
    return sorted(finished)[math.ceil(q * len(finished)) - 1]


def quantiles(finished, censored, estimator):
    """finished, censored: durations in whole seconds."""
    if estimator == "observed":
        return {name: observed(finished, q) for name, q in QUANTILES.items()}
    return {name: kaplan_meier(finished, censored, q) for name, q in QUANTILES.items()}


def nps_score(promoters, passives, detractors):
    """'100 x (share of 9-10 - share of 0-6). Margin 1.96 x 100 x sqrt(((1-N)^2 p+ + N^2 p0 + (1+N)^2 p-)/n),
    N the score as a fraction; none below n = 5.' Gives (value, low, high)."""
    n = promoters + passives + detractors
    if n == 0:
        return None, None, None
    p_plus, p_zero, p_minus = promoters / n, passives / n, detractors / n
    score = (promoters - detractors) / n
    value = 100 * (promoters - detractors) / n
    if n < 5:
        return value, None, None
    spread = (1 - score) ** 2 * p_plus + score**2 * p_zero + (1 + score) ** 2 * p_minus
    margin = 1.96 * 100 * math.sqrt(spread / n)
    return value, value - margin, value + margin
