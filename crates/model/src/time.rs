//! Instants, days and spans. No clock: whoever needs *now* is given it.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
///
/// Its text form, here and in the canonical form of an event, has six fractional digits and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be written: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800 * MICROS_PER_SECOND);
    /// The last: the end of the year 9999, less a microsecond.
    pub const MAX: Self = Self(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// From microseconds since the epoch; `None` outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The UTC day it lies in; midnight belongs to the day it begins.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(MICROS_PER_DAY) as i32)
    }

    /// The start of the day that is so many days before its own.
    #[must_use]
    pub fn days_before(self, days: u32) -> Self {
        self.day().plus(-i64::from(days)).max(Self::MIN.day()).start()
    }

    /// The last day before this instant: the day just ended if it is a midnight.
    pub fn last_day_before(self) -> Day {
        Day((self.0 - 1).div_euclid(MICROS_PER_DAY) as i32)
    }

    /// Whole seconds from `earlier` to here, cut, never below 0.
    pub fn seconds_since(self, earlier: Self) -> u64 {
        (self.0 - earlier.0).max(0) as u64 / MICROS_PER_SECOND as u64
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MIN`].
    fn sub(self, span: Span) -> Self {
        let micros = span.seconds().saturating_mul(MICROS_PER_SECOND as u64).min(i64::MAX as u64) as i64;
        Self(self.0.saturating_sub(micros).max(Self::MIN.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MAX`].
    fn add(self, span: Span) -> Self {
        let micros = span.seconds().saturating_mul(MICROS_PER_SECOND as u64).min(i64::MAX as u64) as i64;
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.0.rem_euclid(MICROS_PER_DAY);
        let (seconds, micros) = (of_day / MICROS_PER_SECOND, of_day % MICROS_PER_SECOND);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if !(Self::MIN..=Self::MAX).contains(self) {
            return write!(f, "{}T{h:02}:{m:02}:{s:02}.{micros:06}Z", self.day());
        }
        // Every event that is stored has its instants written: with the digits put down one by one, which takes a tenth of the
        // time.
        let (year, month, day) = self.day().civil();
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (place, digits, number) in
            [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, h), (14, 2, m), (17, 2, s), (20, 6, micros)]
        {
            put_digits(&mut text[place..place + digits], number);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn put_digits(places: &mut [u8], mut number: i64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// A date and time without `Z` or an offset could mean any of 26 hours.
    #[error("has no offset: write `Z` or an offset such as `+02:00` behind it")]
    NoOffset,
    /// Not RFC 3339.
    #[error("is not an RFC 3339 date and time such as 2026-07-01T12:00:00Z")]
    Unparsable,
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// RFC 3339 and nothing beside it; digits past the microsecond are cut, and a leap second is the second before it.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
        let (head, rest) = text.as_bytes().split_at_checked(SHAPE.len()).ok_or(TimestampError::Unparsable)?;
        let fits = |(byte, like): (&u8, &u8)| match like {
            b'0' => byte.is_ascii_digit(),
            b'T' => b"Tt ".contains(byte),
            _ => byte == like,
        };
        if !head.iter().zip(SHAPE).all(fits) {
            return Err(TimestampError::Unparsable);
        }
        let [year, month, day] = [0..4, 5..7, 8..10].map(|digits| number(&head[digits]));
        let [h, m, s] = [11..13, 14..16, 17..19].map(|digits| number(&head[digits]));
        if h > 23 || m > 59 || s > 60 {
            return Err(TimestampError::Unparsable);
        }
        let date = Date::new(year as i16, month as i8, day as i8).map_err(|_| TimestampError::Unparsable)?;
        let (micros, rest) = fraction(rest)?;
        let seconds = h * 3_600 + m * 60 + s.min(59) - offset_seconds(rest)?;
        Self::from_micros(Day::of(date).start().0 + seconds * MICROS_PER_SECOND + micros)
            .ok_or(TimestampError::Unparsable)
    }
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

/// The microseconds of `.123`, if that comes next, and what is behind it.
fn fraction(text: &[u8]) -> Result<(i64, &[u8]), TimestampError> {
    let Some(behind) = text.strip_prefix(b".") else { return Ok((0, text)) };
    let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(TimestampError::Unparsable);
    }
    let kept = digits.min(6);
    let micros = number(&behind[..kept]) * 10_i64.pow(6 - kept as u32);
    Ok((micros, &behind[digits..]))
}

fn offset_seconds(text: &[u8]) -> Result<i64, TimestampError> {
    match text {
        [] => Err(TimestampError::NoOffset),
        b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let (h, m) = (number(&[*h1, *h2]), number(&[*m1, *m2]));
            if h > 23 || m > 59 {
                return Err(TimestampError::Unparsable);
            }
            let seconds = h * 3_600 + m * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(TimestampError::Unparsable),
    }
}

/// A UTC calendar day: days since 1970-01-01. Written `2026-07-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// From days since 1970-01-01.
    pub const fn from_number(days: i32) -> Self {
        Self(days)
    }

    fn of(date: Date) -> Self {
        Self((date - jiff::civil::date(1970, 1, 1)).get_days())
    }

    /// Days since 1970-01-01.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Its first instant, midnight.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * MICROS_PER_DAY)
    }

    /// The first instant that is no longer of it.
    pub fn end(self) -> Timestamp {
        Timestamp(i64::from(self.0.saturating_add(1)) * MICROS_PER_DAY)
    }

    /// So many days later, or earlier if negative.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self((i64::from(self.0).saturating_add(days)).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
    }
}

impl Day {
    /// Year, month and day of the month.
    fn civil(self) -> (i64, i64, i64) {
        // Howard Hinnant's civil_from_days: exact for every day, no tables.
        let shifted = i64::from(self.0) + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let date: Date = text.parse().map_err(|_| SpanError::NotADay(text.to_owned()))?;
        if text.len() != 10 || date.year() < 1 {
            return Err(SpanError::NotADay(text.to_owned()));
        }
        Ok(Self::of(date))
    }
}

/// A length of time in whole seconds. Written `28d`, `24h`, `30m` or `45s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Why a text is no span or no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not a number and a unit.
    #[error("`{0}` is not a length of time: write a whole number and a unit, such as 28d, 24h, 30m or 45s")]
    Unparsable(String),
    /// A span of days was wanted.
    #[error("`{0}` is not a whole number of days, at least 1d and at most 36500d")]
    NotDays(String),
    /// A day was wanted.
    #[error("`{0}` is not a day: write it as 2026-07-01")]
    NotADay(String),
}

impl Span {
    /// The longest that is accepted, in days: a hundred years.
    pub const MAX_DAYS: u32 = 36_500;

    /// So many days.
    pub const fn days(days: u32) -> Self {
        Self(days as u64 * 86_400)
    }

    /// So many hours.
    pub const fn hours(hours: u32) -> Self {
        Self(hours as u64 * 3_600)
    }

    /// So many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Its length in days, if that is whole, at least 1 and at most [`Span::MAX_DAYS`].
    pub fn whole_days(self) -> Result<u32, SpanError> {
        let days = self.0 / 86_400;
        if !self.0.is_multiple_of(86_400) || days == 0 || days > u64::from(Self::MAX_DAYS) {
            return Err(SpanError::NotDays(self.to_string()));
        }
        Ok(days as u32)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
            if self.0 != 0 && self.0.is_multiple_of(seconds) {
                return write!(f, "{}{unit}", self.0 / seconds);
            }
        }
        write!(f, "{}s", self.0)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let bad = || SpanError::Unparsable(text.to_owned());
        let unit = text.chars().last().ok_or_else(bad)?;
        let seconds = match unit {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(bad()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        let total = number.checked_mul(seconds).ok_or_else(bad)?;
        if total > Self::days(Self::MAX_DAYS).0 { Err(bad()) } else { Ok(Self(total)) }
    }
}

macro_rules! serde_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Timestamp, Day, Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_midnight_begins_one() {
        let midnight: Timestamp = "2020-02-29T00:00:00Z".parse().unwrap();
        assert_eq!(midnight.day().to_string(), "2020-02-29");
        assert_eq!(midnight.last_day_before().to_string(), "2020-02-28");
        let offset: Timestamp = "2020-03-01T01:30:00.1234567+02:00".parse().unwrap();
        assert_eq!(offset.to_string(), "2020-02-29T23:30:00.123456Z");
        assert_eq!(offset.day().end().to_string(), "2020-03-01T00:00:00.000000Z");
    }

    #[test]
    fn a_time_without_an_offset_is_told_from_nonsense() {
        assert_eq!("2020-03-01T01:30:00".parse::<Timestamp>(), Err(TimestampError::NoOffset));
        assert_eq!("2020-03-01".parse::<Timestamp>(), Err(TimestampError::Unparsable));
        for text in [
            "yesterday",
            "2020-03-01T01:30:00Z!",
            "2020-03-01T25:30:00Z",
            "2020-02-30T01:30:00Z",
            "2020-03-01Z",
            "2026-11-01T12:00Z",
            "20261101T120000Z",
            "2026-11-01T12:00:00,5Z",
            "2026-11-01T12:00:00.Z",
            "2026-11-01T12:00:00+0200",
            "2026-11-01T12:00:00+02",
            "2026-11-01T12:00:00+24:00",
            "2026-11-01T12:00:00+02:60",
            "2026-11-01T12:00:00+02:00:00",
            "2026-11-01T12:00:00Z[Europe/Berlin]",
            "2026-11-01T12:60:00Z",
            "2026-11-01T12:00:61Z",
            "2026-11-01_12:00:00Z",
            " 2026-11-01T12:00:00Z",
            "+002026-11-01T12:00:00Z",
            "２026-11-01T12:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::Unparsable), "{text}");
        }
    }

    #[test]
    fn all_that_rfc_3339_allows_is_read() {
        for (text, same) in [
            ("2026-11-01t12:00:00z", "2026-11-01T12:00:00Z"),
            ("2026-11-01 12:00:00.5Z", "2026-11-01T12:00:00.500000Z"),
            ("2026-11-01T12:00:00.1234567890123Z", "2026-11-01T12:00:00.123456Z"),
            ("2026-11-01T12:00:00-00:00", "2026-11-01T12:00:00Z"),
            ("2026-11-01T23:59:59-23:59", "2026-11-02T23:58:59Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>(), same.parse(), "{text}");
            assert!(text.parse::<Timestamp>().is_ok(), "{text}");
        }
    }

    #[test]
    fn every_instant_reads_back_from_the_first_to_the_last() {
        for at in [Timestamp::MIN, Timestamp(-1), Timestamp(0), Timestamp::MAX] {
            assert_eq!(at.to_string().parse(), Ok(at), "{at}");
        }
        for beyond in ["10000-01-01T00:00:00Z", "9999-12-31T23:30:00-01:00", "0001-01-01T00:30:00+01:00"] {
            assert_eq!(beyond.parse::<Timestamp>(), Err(TimestampError::Unparsable), "{beyond}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_reads_back() {
        let first: Day = "1850-01-01".parse().unwrap();
        for number in first.number()..first.number() + 146_097 {
            let day = Day::from_number(number);
            assert_eq!(day.to_string().parse::<Day>().unwrap(), day);
        }
    }

    #[test]
    fn spans_read_back_and_refuse_nonsense() {
        for text in ["28d", "36h", "90m", "45s", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["", "d", "1w", "-1d", "1.5d", "99999999d", "é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("36h".parse::<Span>().unwrap().whole_days().is_err());
    }
}
