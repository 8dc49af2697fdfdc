//! Instants, days and lengths of time, in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_model::{Day, Span, Timestamp};

fuzz_target!(|data: &str| {
    if let Ok(instant) = data.parse::<Timestamp>() {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&instant));
        assert_eq!(instant.to_string().parse(), Ok(instant));
        // The other library ends two days earlier, and knows no more than nine digits of a fraction.
        let digits =
            data.split('.').nth(1).map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        if digits <= 9 && instant.micros() <= jiff::Timestamp::MAX.as_microsecond() {
            let reference: jiff::Timestamp = data.parse().expect("what is RFC 3339 to us is so to others");
            assert_eq!(i128::from(instant.micros()), reference.as_nanosecond().div_euclid(1_000));
        }
        let day = instant.day();
        assert!(day.start() <= instant && instant < day.end());
        assert_eq!(day.to_string().parse(), Ok(day));
    }
    if let Ok(day) = data.parse::<Day>() {
        assert_eq!(day.to_string(), data);
        assert_eq!(Day::from_number(day.number()), day);
        assert_eq!(day.start().day(), day);
        assert_eq!(day.end().last_day_before(), day);
        assert_eq!(format!("{data}T00:00:00Z").parse(), Ok(day.start()));
    }
    if let Ok(span) = data.parse::<Span>() {
        assert_eq!(span.to_string().parse(), Ok(span));
        assert!(span <= Span::days(Span::MAX_DAYS));
        if let Ok(days) = span.whole_days() {
            assert_eq!(Span::days(days), span);
        }
    }
});
