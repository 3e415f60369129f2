//! Times as the service writes them.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

/// Reads an RFC 3339 time, or one whose offset lacks its colon (`+0000`).
///
/// Every result is in the years 0 to 9999 of UTC, so that RFC 3339 can write it again.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    usual_form(text).or_else(|| other_forms(text))
}

/// Reads `2026-01-05T09:00:00.123Z` or `2026-01-05T09:00:00Z`, the form of nearly every time. All others,
/// including leap seconds, are left to [`other_forms`].
fn usual_form(text: &str) -> Option<DateTime<Utc>> {
    #[rustfmt::skip]
    let [
        y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T',
        h0, h1, b':', mi0, mi1, b':', s0, s1, rest @ ..
    ] = text.as_bytes() else {
        return None;
    };
    let millisecond = match rest {
        [b'Z'] => 0,
        [b'.', f0, f1, f2, b'Z'] => number([f0, f1, f2])?,
        _ => return None,
    };
    let year = number([y0, y1, y2, y3])?.cast_signed();
    NaiveDate::from_ymd_opt(year, number([mo0, mo1])?, number([d0, d1])?)?
        .and_hms_milli_opt(number([h0, h1])?, number([mi0, mi1])?, number([s0, s1])?, millisecond)
        .map(|time| time.and_utc())
}

fn number<const N: usize>(digits: [&u8; N]) -> Option<u32> {
    digits
        .into_iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

fn other_forms(text: &str) -> Option<DateTime<Utc>> {
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time,
        Err(_) => DateTime::parse_from_rfc3339(&with_colon(text)?).ok()?,
    };
    Some(time.to_utc()).filter(|time| (0..=9999).contains(&time.year()))
}

/// Not by `%Y-%m-%dT%H:%M:%S%.f%z`: that reads `26-1-5T0:0:0+0000` as a day in the year 26.
fn with_colon(text: &str) -> Option<String> {
    let [.., b'+' | b'-', _, _, _, _] = text.as_bytes() else { return None };
    let (front, minutes) = text.split_at_checked(text.len() - 2)?;
    Some(format!("{front}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use chrono::{SecondsFormat, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn chrono(text: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
    }

    fn utc(millis: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(millis)
    }

    #[test]
    fn reads_every_form() {
        for (text, millis) in [
            ("2026-01-05T09:00:00.123Z", 1_767_603_600_123),
            ("2026-01-05T09:00:00Z", 1_767_603_600_000),
            ("2026-01-05T09:00:00+00:00", 1_767_603_600_000),
            ("2026-01-05T11:30:00.123+02:30", 1_767_603_600_123),
            ("2026-01-05T09:00:00+0000", 1_767_603_600_000),
            ("2026-01-05T01:00:00.1-0800", 1_767_603_600_100),
            ("2026-01-05t09:00:00.5z", 1_767_603_600_500),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse_time(text), utc(millis), "{text}");
        }
    }

    #[test]
    fn keeps_the_digits_after_the_millisecond() {
        let time = Utc.timestamp_opt(1_767_603_600, 123_456_789).single();
        assert_eq!(parse_time("2026-01-05T09:00:00.123456789Z"), time);
        assert_eq!(parse_time("2026-01-05T09:00:00.123456789+0000"), time);
    }

    #[test]
    fn refuses_texts_that_are_not_a_time() {
        for text in [
            "",
            "Z",
            "+0000",
            "yesterday",
            "2026-01-05",
            "2026-01-05T09:00:00",
            "2026-01-05T09:00Z",
            "2026-01-05T09:00:00.Z",
            "2026-01-05T09:00:00ZZ",
            " 2026-01-05T09:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-05T24:00:00Z",
            "2026-01-05T09:60:00Z",
            "2026-01-05T09:00:61Z",
            "+2026-01-05T09:00:00Z",
            "26-1-5T0:0:0+0000",
            "2026-01-05T09:00:00+00",
            "2026-01-05T09:00:00+2400",
            "2026-01-05T09:00:00+€0",
            "２０２６-01-05T09:00:00Z",
            "2026-01-05T09:00:0٣Z",
            "1767603600",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    /// RFC 3339 can't write their year in UTC, so they could be read but not written.
    #[test]
    fn refuses_years_beyond_four_digits() {
        assert_eq!(parse_time("9999-12-31T23:59:59-01:00"), None);
        assert_eq!(parse_time("0000-01-01T00:00:00+00:01"), None);
    }

    #[test]
    fn a_leap_second_is_not_its_neighbour() {
        let leap = parse_time("2016-12-31T23:59:60.250Z").unwrap();
        assert_eq!(leap.to_rfc3339_opts(SecondsFormat::Millis, true), "2016-12-31T23:59:60.250Z");
    }

    fn written() -> impl Strategy<Value = String> {
        let two = |from: u32, to: u32| (from..=to).prop_map(|number| format!("{number:02}"));
        let end = prop_oneof![
            4 => (0..1000u32).prop_map(|millis| format!(".{millis:03}Z")),
            4 => Just("Z".to_owned()),
            1 => r"\.[0-9]{1,12}Z",
            1 => r"(\.[0-9]{3})?[+-][0-2][0-9]:?[0-5][0-9]",
        ];
        (0..=9999u32, two(0, 13), two(0, 32), two(0, 24), two(0, 60), two(0, 61), end).prop_map(
            |(year, month, day, hour, minute, second, end)| {
                format!("{year:04}-{month}-{day}T{hour}:{minute}:{second}{end}")
            },
        )
    }

    fn mutated() -> impl Strategy<Value = String> {
        let change = (any::<prop::sample::Index>(), prop_oneof!["[0-9TtZz:. +-]?", r"\PC", "[٣３९]"]);
        (written(), prop::collection::vec(change, 1..3)).prop_map(|(text, changes)| {
            let mut chars: Vec<_> = text.chars().map(String::from).collect();
            for (at, to) in changes {
                *at.get_mut(&mut chars) = to;
            }
            chars.concat()
        })
    }

    proptest! {
        #[test]
        fn both_paths_agree(text in prop_oneof![written(), mutated()]) {
            if let Some(time) = usual_form(&text) {
                prop_assert_eq!(chrono(&text), Some(time));
            }
            prop_assert_eq!(parse_time(&text), other_forms(&text));
            if let Some(time) = parse_time(&text) {
                prop_assert_eq!(parse_time(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)), Some(time));
            } else if let Some(time) = chrono(&text) {
                prop_assert!(!(0..=9999).contains(&time.year()));
            }
        }

        #[test]
        fn the_usual_form_takes_the_short_path(millis in -62_167_219_200_000..253_402_300_800_000i64) {
            let time = utc(millis).unwrap();
            prop_assert_eq!(usual_form(&time.to_rfc3339_opts(SecondsFormat::Millis, true)), Some(time));
            let time = utc(millis - millis.rem_euclid(1000)).unwrap();
            prop_assert_eq!(usual_form(&time.to_rfc3339_opts(SecondsFormat::Secs, true)), Some(time));
        }

        #[test]
        fn no_text_panics(text in r"\PC{0,40}") {
            let _ = parse_time(&text);
        }
    }
}
