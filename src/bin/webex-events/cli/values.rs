//! Times, spans and rates on the command line.

use std::{fmt, num::NonZeroU32, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

/// An instant, relative to the start of the program or fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeArg {
    Ago(Duration),
    /// The start of a day in UTC: today's, or yesterday's.
    Midnight(Day),
    At(DateTime<Utc>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Day {
    Today,
    Yesterday,
}

impl TimeArg {
    /// The instant itself; `None` if it is before the earliest date that can be represented.
    pub(crate) fn instant(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Ago(span) => now.checked_sub_signed(chrono::TimeDelta::from_std(span).ok()?),
            Self::Midnight(day) => {
                let today = now.date_naive();
                let date = match day {
                    Day::Today => Some(today),
                    Day::Yesterday => today.pred_opt(),
                };
                date.map(midnight)
            }
            Self::At(instant) => Some(instant),
        }
    }
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

/// A form that is valid on the command line and means the same instant.
impl fmt::Display for TimeArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(span) => f.write_str(&words(*span)),
            Self::Midnight(Day::Today) => f.write_str("today"),
            Self::Midnight(Day::Yesterday) => f.write_str("yesterday"),
            Self::At(instant) => f.write_str(&time(*instant)),
        }
    }
}

/// An instant in a form that is valid on the command line.
pub(crate) fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A span in a form that is valid on the command line.
pub(crate) fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    match [(24 * 3600, 'd'), (3600, 'h'), (60, 'm')]
        .iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// Reads `7d`, `7 days ago`, `now`, `today` or `yesterday` (their midnights in UTC), `2026-01-05` (the same) or an
/// RFC 3339 time.
pub(crate) fn when(text: &str) -> Result<TimeArg, String> {
    match text {
        "now" => return Ok(TimeArg::Ago(Duration::ZERO)),
        "today" => return Ok(TimeArg::Midnight(Day::Today)),
        "yesterday" => return Ok(TimeArg::Midnight(Day::Yesterday)),
        _ => {}
    }
    if let Some(span) = span(text).ok().or_else(|| ago(text)) {
        return Ok(TimeArg::Ago(span));
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(TimeArg::At(midnight(date)));
    }
    DateTime::parse_from_rfc3339(text).map(|time| TimeArg::At(time.to_utc())).map_err(|_| {
        "a time is a span before now (90m, 12h, 7d, 2w, \"7 days ago\"), now, today or yesterday (00:00 UTC), \
         a date (2026-01-05, 00:00 UTC) or RFC 3339 (2026-01-05T09:00:00Z)"
            .to_owned()
    })
}

/// Reads `7 days ago`.
fn ago(text: &str) -> Option<Duration> {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let [number, unit, "ago"] = words.as_slice() else { return None };
    let unit = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 's',
        "minute" => 'm',
        "hour" => 'h',
        "day" => 'd',
        "week" => 'w',
        _ => return None,
    };
    span(&format!("{number}{unit}")).ok()
}

/// Reads a span: a whole number and one of `s`, `m` (minutes), `h`, `d` and `w`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let seconds = || {
        let unit = match text.chars().next_back()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return None,
        };
        digits(text.get(..text.len() - 1)?)?.checked_mul(unit)
    };
    seconds()
        .map(Duration::from_secs)
        .ok_or_else(|| "a span is a number with s, m, h, d or w, such as 90m or 7d".to_owned())
}

/// Reads `name=value`, a parameter that has no option of its own.
pub(crate) fn param(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err("a parameter is NAME=VALUE".to_owned());
    };
    let own = [
        ("resource", "--resource"),
        ("type", "--type"),
        ("actorId", "--actor-id"),
        ("from", "--from"),
        ("to", "--to"),
        ("max", "--page-size"),
    ];
    match own.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
        Some((name, option)) => Err(format!("the parameter {name} has an option of its own: give {option}")),
        None => Ok((name.to_owned(), value.to_owned())),
    }
}

/// A number per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    PerSecond(NonZeroU32),
    PerMinute(NonZeroU32),
}

/// Reads `10/s`, `300/m`, or a bare number, which is per minute.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let (number, per): (&str, fn(NonZeroU32) -> Rate) = match text.split_once('/') {
        None => (text, Rate::PerMinute),
        Some((number, "m" | "min")) => (number, Rate::PerMinute),
        Some((number, "s")) => (number, Rate::PerSecond),
        Some(_) => ("", Rate::PerMinute),
    };
    let number = digits(number).and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new);
    number.map(per).ok_or_else(|| {
        "a rate is a number above 0, per minute (300 or 300/m) or per second (10/s)".to_owned()
    })
}

/// A number that consists of digits only: `FromStr` would accept a sign too.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_of_its_forms() {
        let now = "2026-01-15T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("0s", "2026-01-15T12:00:00Z"),
            ("now", "2026-01-15T12:00:00Z"),
            ("today", "2026-01-15T00:00:00Z"),
            ("yesterday", "2026-01-14T00:00:00Z"),
            ("7 days ago", "2026-01-08T12:00:00Z"),
            ("1 day ago", "2026-01-14T12:00:00Z"),
            ("2  hours ago", "2026-01-15T10:00:00Z"),
            ("90 minutes ago", "2026-01-15T10:30:00Z"),
            ("1 week ago", "2026-01-08T12:00:00Z"),
            ("30 seconds ago", "2026-01-15T11:59:30Z"),
            ("90m", "2026-01-15T10:30:00Z"),
            ("12h", "2026-01-15T00:00:00Z"),
            ("7d", "2026-01-08T12:00:00Z"),
            ("2w", "2026-01-01T12:00:00Z"),
            ("2026-01-05", "2026-01-05T00:00:00Z"),
            ("2026-01-05T09:00:00Z", "2026-01-05T09:00:00Z"),
            ("2026-01-05T09:00:00.123+02:00", "2026-01-05T07:00:00.123Z"),
        ] {
            let instant = when(text).unwrap().instant(now).unwrap();
            assert_eq!(instant, expected.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
    }

    #[test]
    fn a_displayed_time_means_the_same_instant() {
        for (text, expected) in [
            ("0s", "0s"),
            ("90m", "90m"),
            ("120m", "2h"),
            ("7d", "7d"),
            ("2w", "14d"),
            ("now", "0s"),
            ("today", "today"),
            ("yesterday", "yesterday"),
            ("7 days ago", "7d"),
            ("2026-01-05", "2026-01-05T00:00:00Z"),
            ("2026-01-05T09:00:00.123+02:00", "2026-01-05T07:00:00.123Z"),
        ] {
            let time = when(text).unwrap();
            assert_eq!(time.to_string(), expected);
            assert_eq!(when(expected), Ok(time));
        }
    }

    #[test]
    fn an_invalid_time_is_refused() {
        for text in [
            "",
            "d",
            "7",
            "-7d",
            "+7d",
            "7 d",
            "7D",
            "1.5h",
            "7é",
            "tomorrow",
            "Yesterday",
            "7 days",
            "days ago",
            "7 dayss ago",
            "-7 days ago",
            "7 months ago",
            "2026-13-01",
            "2026-01-05T09:00",
        ] {
            assert!(when(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_before_the_earliest_date_is_none() {
        let now = "2026-01-15T12:00:00Z".parse().unwrap();
        for text in ["18446744073709551615s", "100000000w"] {
            assert_eq!(when(text).unwrap().instant(now), None, "{text}");
        }
        assert!(span("18446744073709551615w").is_err());
    }

    #[test]
    fn a_parameter_is_split_at_the_first_equals_sign() {
        for (text, name, value) in
            [("a=b", "a", "b"), ("a=", "a", ""), ("a=b=c", "a", "b=c"), ("a= b", "a", " b")]
        {
            assert_eq!(param(text), Ok((name.to_owned(), value.to_owned())));
        }
        for (text, word) in [
            ("", "NAME=VALUE"),
            ("a", "NAME=VALUE"),
            ("=b", "NAME=VALUE"),
            ("max=5", "--page-size"),
            ("TYPE=x", "--type"),
        ] {
            assert!(param(text).is_err_and(|error| error.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_rate_without_a_unit_is_per_minute() {
        let n = |n| NonZeroU32::new(n).unwrap();
        for (text, expected) in [
            ("300", Rate::PerMinute(n(300))),
            ("300/m", Rate::PerMinute(n(300))),
            ("300/min", Rate::PerMinute(n(300))),
            ("10/s", Rate::PerSecond(n(10))),
        ] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "0/s", "/s", "10/h", "-1", "+1", "1.5", "10/s/s", "4294967296"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
