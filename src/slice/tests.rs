use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::error::Error;

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_600_000_000 + millis).unwrap()
}

fn plan(from: i64, to: i64, length: u64) -> Slices {
    let query = ListEvents::new().resource("rooms").from(at(from)).to(at(to));
    query.slices(Duration::from_millis(length)).unwrap()
}

fn bounds(slices: impl IntoIterator<Item = Slice>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    slices.into_iter().map(|slice| (slice.start(), slice.end())).collect()
}

fn requested(slice: &Slice, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    (slice.request_query().range().unwrap().0, slice.requested_end().at(Some(now), now))
}

#[test]
fn the_first_and_the_last_slice_are_shorter_where_the_range_is_not_aligned() {
    let slices: Vec<_> = plan(-3, 25, 10).collect();
    let expected = [(at(-3), at(0)), (at(0), at(10)), (at(10), at(20)), (at(20), at(25))];
    assert_eq!(bounds(slices.clone()), expected);
    assert_eq!(
        slices[2].query(),
        ListEvents::new().resource("rooms").from(at(10)).to(at(20)),
        "the query is kept"
    );
}

#[test]
fn slices_of_a_day_start_at_midnight_utc() {
    let from = "2026-01-05T17:11:09.5Z".parse::<DateTime<Utc>>().unwrap();
    let query = ListEvents::new().from(from).to(from + TimeDelta::days(3));
    let starts: Vec<_> = query.slices(Duration::from_secs(86_400)).unwrap().map(|s| s.start()).collect();
    assert_eq!(starts[0], from);
    for (start, day) in starts[1..].iter().zip(["06", "07", "08"]) {
        assert_eq!(start.to_rfc3339(), format!("2026-01-{day}T00:00:00+00:00"));
    }
    assert_eq!(starts.len(), 4);
}

#[test]
fn slices_can_start_at_multiples_from_another_instant() {
    assert_eq!(bounds(plan(3, 23, 10).aligned_to(at(3))), [(at(3), at(13)), (at(13), at(23))]);
    assert_eq!(
        bounds(plan(3, 23, 10).aligned_to(at(98))),
        [(at(3), at(8)), (at(8), at(18)), (at(18), at(23))]
    );
}

#[test]
fn thirty_days_up_to_any_instant_are_thirty_or_thirty_one_slices_of_a_day() {
    let day = 86_400_000_000_000_i64;
    for nanos in
        [0, 1, 500_000, 999_999, 1_000_000, 1_000_001, day - 1, day - 500_000, day - 999_999, day / 2 + 1]
    {
        let now = "2026-01-31T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::nanoseconds(nanos);
        let query = ListEvents::new().from(now - TimeDelta::days(30)).to(now);
        let slices: Vec<_> = query.slices(Duration::from_secs(86_400)).unwrap().collect();
        assert!((30..=31).contains(&slices.len()), "{nanos} ns after midnight: {}", slices.len());
        let shortest = slices.iter().map(|slice| slice.end() - slice.start()).min().unwrap();
        let by_rounding = shortest == TimeDelta::milliseconds(1) && nanos % 1_000_000 != 0;
        assert!(!by_rounding, "{nanos} ns after midnight: a slice of 1 ms");
    }
}

#[test]
fn a_slice_requests_its_margin_but_nothing_before_the_range() {
    let slices: Vec<_> = plan(0, 2000, 1000).margin(Duration::from_millis(100)).collect();
    let later = at(1_000_000);
    assert_eq!(requested(&slices[0], later), (at(0), at(1100)));
    assert_eq!(requested(&slices[1], later), (at(900), at(2100)), "the last one too");
}

#[test]
fn the_end_is_requested_up_to_now_and_never_before_the_end_of_the_slice() {
    let slice = plan(0, 1000, 1000).next().unwrap();
    for (now, end) in [(1_000_000, 1100), (1100, 1100), (1050, 1050), (1000, 1000), (500, 1000)] {
        assert_eq!(requested(&slice, at(now)), (at(0), at(end)), "now is {now}");
    }
}

#[test]
fn without_the_services_time_this_machines_clock_is_used_unless_it_is_slow() {
    let slice = plan(0, 1000, 1000).next().unwrap();
    let end = |machine| slice.requested_end().at(None, at(machine));
    assert_eq!([end(1_000_000), end(2050), end(1000)], [at(1100), at(1050), at(1000)], "less a second");
    assert_eq!(end(999), at(1100), "a clock that says the slice isn't over yet is not believed");
}

#[test]
fn the_end_is_requested_up_to_the_later_of_the_two_clocks() {
    let end = plan(0, 1000, 1000).next().unwrap().requested_end();
    for (service, machine, expected) in
        [(1020, 2050, 1050), (1050, 2020, 1050), (500, 5000, 1100), (500, 700, 1000)]
    {
        assert_eq!(end.at(Some(at(service)), at(machine)), at(expected), "{service} and {machine}");
    }
}

#[test]
fn a_refused_end_is_requested_by_the_services_time_and_then_without_a_margin() {
    let end = plan(0, 1000, 1000).next().unwrap().requested_end();
    let clipped = end.after_refusal(Some(at(1020))).unwrap();
    assert_eq!(clipped.at(Some(at(1020)), at(5000)), at(1020));
    let without = clipped.after_refusal(Some(at(1020))).unwrap();
    assert_eq!(without.at(Some(at(1020)), at(5000)), at(1000));
    assert_eq!(without.after_refusal(Some(at(1020))), None, "then the slice itself was refused");
    assert_eq!(end.after_refusal(None), Some(without), "without the service's time");
    assert_eq!(end.after_refusal(Some(at(1100))), None, "a margin in the past is no reason");
}

#[test]
fn a_margin_is_a_minute_and_at_most_a_tenth_of_the_length_and_at_least_a_millisecond() {
    let margin = |length: u64, margin: Option<u64>| {
        let slices = plan(0, 1000, length);
        let slices = match margin {
            Some(margin) => slices.margin(Duration::from_millis(margin)),
            None => slices,
        };
        slices.clone().next().unwrap().margin().as_millis()
    };
    assert_eq!(margin(3_600_000, None), 60_000);
    assert_eq!(margin(600_000, None), 60_000);
    assert_eq!(margin(599_999, None), 59_999);
    assert_eq!(margin(1, None), 1);
    assert_eq!(margin(3_600_000, Some(360_001)), 360_000);
    assert_eq!(margin(3_600_000, Some(0)), 1);
    assert_eq!(margin(3_600_000, Some(u64::MAX)), 360_000);
}

#[test]
fn a_range_that_can_not_be_sliced_is_refused() {
    let second = Duration::from_secs(1);
    for (query, length, shown) in [
        (ListEvents::new().from(at(0)), second, "both"),
        (ListEvents::new().to(at(0)), second, "both"),
        (ListEvents::new().from(at(1)).to(at(0)), second, "before"),
        (ListEvents::new().from(at(0)).to(at(1)), Duration::ZERO, "0ns"),
        (ListEvents::new().from(at(0)).to(at(1)), Duration::from_micros(999), "999"),
        (ListEvents::new().from(at(0)).to(at(1)).page_size(0), second, "0"),
    ] {
        let error = query.slices(length).unwrap_err();
        assert!(matches!(&error, Error::Query(text) if text.contains(shown)), "{error}");
    }
}

#[test]
fn a_slice_survives_being_stored() {
    let slice = plan(0, 20, 10).margin(Duration::from_millis(7)).next().unwrap();
    let cursor = Cursor::at("https://webexapis.com/v1/events", slice.request_query());
    let slice = slice.with_cursor(cursor);
    let text = serde_json::to_string(&slice).unwrap();
    assert_eq!(serde_json::from_str::<Slice>(&text).unwrap(), slice);
    let value = serde_json::to_value(&slice).unwrap();
    assert_eq!(serde_json::from_value::<Slice>(value).unwrap(), slice);
}

#[test]
fn a_slice_stored_before_there_were_margins_has_one_of_a_millisecond() {
    let text = r#"{"start":"2026-01-05T00:00:00Z","end":"2026-01-05T06:00:00Z","last":true,
                   "query":{"resource":"rooms"}}"#;
    let slice: Slice = serde_json::from_str(text).unwrap();
    assert_eq!(slice.margin(), Duration::from_millis(1));
    let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (from, to) = requested(&slice, instant("2026-02-01T00:00:00Z"));
    assert_eq!((from, to), (instant("2026-01-04T23:59:59.999Z"), instant("2026-01-05T06:00:00.001Z")));
    // The cursor of a last slice had the end of the range as its `to`.
    let query = slice.query().from(from);
    assert!(slice.owns(&Cursor::at("https://webexapis.com/v1/events", query)));
}

#[test]
fn the_margin_distinguishes_slices() {
    let with = |margin| plan(0, 1000, 1000).margin(Duration::from_millis(margin)).next().unwrap();
    let slices: HashSet<_> = [with(10), with(20), with(20)].into_iter().collect();
    assert_eq!(slices.len(), 2);
}

#[test]
fn a_cursor_of_the_slice_is_known_whenever_it_was_requested() {
    let slices: Vec<_> = plan(0, 3000, 1000).collect();
    let cursor = |query| Cursor::at("https://webexapis.com/v1/events", query);
    for now in [2000, 2050, 2100, 9000] {
        // Earlier versions stored the end that was sent.
        let (from, to) = requested(&slices[1], at(now));
        let query = ListEvents::new().resource("rooms").from(from).to(to).page_size(7);
        assert!(slices[1].owns(&cursor(query.clone())));
        assert!(!slices[0].owns(&cursor(query.clone())) && !slices[2].owns(&cursor(query.clone())));
        assert!(!slices[1].owns(&cursor(query.resource("messages"))));
    }
    assert!(!slices[1].owns(&cursor(slices[1].query())), "a list without the margin lacks events");
    assert!(!slices[1].owns(&cursor(ListEvents::new().resource("rooms"))));
}

/// The bounds of a list, as the service may mean them: by which time, and whether they are included.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    by_storage_time: bool,
    includes: (bool, bool),
}

impl Meaning {
    fn lists(self, (created, stored): (i64, i64), (from, to): (DateTime<Utc>, DateTime<Utc>)) -> bool {
        let time = at(if self.by_storage_time { stored } else { created });
        let is_after = from < time || (self.includes.0 && from == time);
        let is_before = time < to || (self.includes.1 && time == to);
        is_after && is_before
    }
}

proptest! {
    #[test]
    fn slices_are_consecutive_aligned_and_as_many_as_they_say(
        from in 0_i64..100, span in 1_i64..2000, part in 0_u32..1_000_000, length in 1_i64..3000,
        origin in proptest::option::of(-5000_i64..5000),
    ) {
        let nanos = TimeDelta::nanoseconds(part.into());
        let query = ListEvents::new().from(at(from) + nanos).to(at(from + span) + nanos);
        let mut slices = query.slices(Duration::from_millis(length.unsigned_abs())).unwrap();
        if let Some(origin) = origin {
            slices = slices.aligned_to(at(origin));
        }
        let origin = origin.map_or(0, |origin| at(origin).timestamp_millis());
        let mut seen = Vec::new();
        let expected = slices.len();
        while let Some(slice) = slices.next() {
            seen.push(slice);
            prop_assert_eq!(slices.len(), expected - seen.len());
        }
        prop_assert_eq!(seen.len(), expected);
        prop_assert!(slices.next().is_none());
        prop_assert_eq!(seen[0].start(), at(from));
        prop_assert!(seen.windows(2).all(|pair| pair[0].end() == pair[1].start()));
        prop_assert_eq!(seen[expected - 1].end(), at(from + span + i64::from(part > 0)));
        let extra = i64::from(part > 0 && length > 1);
        for slice in &seen {
            let millis = (slice.end() - slice.start()).num_milliseconds();
            prop_assert!((1..=length + 2 * extra).contains(&millis));
        }
        for slice in &seen[1..] {
            prop_assert_eq!((slice.start().timestamp_millis() - origin).rem_euclid(length), 0);
        }
        // Without rounding there is one slice more than boundaries inside of the range.
        let nanos = |instant: DateTime<Utc>| i128::from(instant.timestamp_millis() - origin) * 1_000_000;
        let (start, end) = (nanos(at(from)) + i128::from(part), nanos(at(from + span)) + i128::from(part));
        let length = i128::from(length) * 1_000_000;
        let exact = (end - 1).div_euclid(length) - start.div_euclid(length) + 1;
        prop_assert!(i128::try_from(expected).unwrap() <= exact, "{} > {}", expected, exact);
    }

    #[test]
    fn each_event_is_in_one_slice_whatever_the_service_means_by_its_bounds(
        from in 0_i64..50, span in 1_i64..400, length in 10_i64..120, margin in 1_i64..20,
        by_storage_time: bool, includes: (bool, bool),
        events in proptest::collection::vec((-50_i64..500, -20_i64..20), 0..60),
    ) {
        let meaning = Meaning { by_storage_time, includes };
        let to = from + span;
        let slices = plan(from, to, length.unsigned_abs()).margin(Duration::from_millis(margin.unsigned_abs()));
        let slices: Vec<_> = slices.collect();
        let margin = i64::try_from(slices[0].margin().as_millis()).unwrap();
        for (created, lag) in events {
            let stored = created + lag.clamp(1 - margin, margin - 1);
            let holders = slices.iter().filter(|slice| {
                meaning.lists((created, stored), requested(slice, at(10_000)))
                    && slice.position_of(at(created)) == SlicePosition::Inside
            });
            // What the service does not list from the start of the range on can't be had.
            let is_listed = meaning.lists((created, stored), (at(from), at(10_000)));
            let expected = usize::from((from..to).contains(&created) && is_listed);
            prop_assert_eq!(holders.count(), expected, "created {}, stored {}", created, stored);
        }
    }

    #[test]
    fn an_event_within_the_margin_of_a_slice_is_never_counted_as_outside(
        created in -500_i64..2500, margin in 1_i64..100,
    ) {
        let slices = plan(0, 2000, 1000).margin(Duration::from_millis(margin.unsigned_abs()));
        for slice in slices {
            let near = slice.start() - TimeDelta::milliseconds(margin) <= at(created)
                && at(created) <= slice.end() + TimeDelta::milliseconds(margin);
            prop_assert_eq!(slice.position_of(at(created)) == SlicePosition::Outside, !near);
        }
    }
}
