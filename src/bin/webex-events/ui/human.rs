//! Numbers, sizes and times for people. Files for programs have exact values.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A number with its noun: `1 event`, `200,000 events`.
pub(crate) fn counted(n: u64, thing: &str) -> String {
    let plural = match thing.strip_suffix("try") {
        _ if n == 1 => thing.to_owned(),
        Some(stem) => format!("{stem}tries"),
        None => format!("{thing}s"),
    };
    format!("{} {plural}", number(n))
}

/// A number with a comma before each group of three digits.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the largest binary unit, with three digits: `187 MiB`, `1.5 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return counted(bytes, "byte");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {}", UNITS.get(unit).unwrap_or(&"EiB"))
}

/// A duration: `0.4 s`, `18 s`, `2 min 5 s`, `3 h 20 min`, `12 d 4 h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match seconds {
        0..10 if time.subsec_millis() > 0 => format!("{:.1} s", time.as_secs_f64()),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A time of this day: `12:37:42 UTC`; of another day with its date.
pub(crate) fn clock(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let form = if time.date_naive() == now.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    time.format(form).to_string()
}

/// The instant of an event: RFC 3339 in UTC, in whole seconds.
pub(crate) fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_groups_and_a_noun() {
        for (n, expected) in
            [(0, "0 retries"), (1, "1 retry"), (999, "999 retries"), (1_234_567, "1,234,567 retries")]
        {
            assert_eq!(counted(n, "retry"), expected);
        }
        assert_eq!(counted(200_000, "event"), "200,000 events");
    }

    #[test]
    fn a_size_has_three_digits() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1,023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (10_240, "10 KiB"),
            (187 << 20, "187 MiB"),
            (1023 << 10, "1 MiB"),
            (19_608_371, "18.7 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_span_has_at_most_two_units() {
        for (millis, expected) in [
            (0, "0 s"),
            (420, "0.4 s"),
            (9_000, "9 s"),
            (18_400, "18 s"),
            (120_000, "2 min"),
            (125_000, "2 min 5 s"),
            (12_000_000, "3 h 20 min"),
            (1_051_200_000, "12 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_time_is_marked_as_utc_and_has_its_date_if_it_is_another_day() {
        let now = "2026-01-05T23:00:00Z".parse().unwrap();
        assert_eq!(clock("2026-01-05T23:37:42Z".parse().unwrap(), now), "23:37:42 UTC");
        assert_eq!(clock("2026-01-06T00:01:00Z".parse().unwrap(), now), "2026-01-06 00:01:00 UTC");
    }
}
