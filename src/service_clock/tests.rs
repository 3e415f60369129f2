//! The decision, as a table: what the clocks say, and what is believed.

use super::*;

/// The monotonic clock, this machine's time of day and the service's `Date`, each in seconds.
struct Bench {
    clock: ServiceClock,
    start: Instant,
}

fn instant(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

impl Bench {
    fn new() -> Self {
        Self { clock: ServiceClock::default(), start: Instant::now() }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn observe(&mut self, second: u64, utc: i64, date: i64) -> Observation {
        self.slow(second, utc, date, 0)
    }

    fn slow(&mut self, second: u64, utc: i64, date: i64, took: u64) -> Observation {
        let took = Duration::from_secs(took);
        let (sent, utc, date) = (self.at(second), instant(utc), instant(date));
        self.clock.observe(DateReading { sent, utc, took, date }).unwrap()
    }

    fn time(&self, second: u64) -> Option<DateTime<Utc>> {
        self.clock.time(self.at(second))
    }
}

#[test]
fn a_date_is_believed_with_the_support_of_a_second_clock_or_of_two_more_responses() {
    const HOUR: i64 = 3600;
    // Each response: seconds by the monotonic clock, by this machine's time of day, by `Date`; and whether it is
    // believed.
    type Row = (u64, i64, i64, bool);
    let table: &[(&str, &[Row])] = &[
        ("both clocks agree", &[(0, 0, 0, true), (30, 30, 30, true)]),
        ("the first is a minute off", &[(0, 0, 60, true), (30, 30, 90, true)]),
        ("the first is more than a minute ahead", &[(0, 0, 61, false), (1, 1, 62, false), (2, 2, 63, true)]),
        (
            "the first is more than a minute behind",
            &[(0, 0, -62, false), (1, 1, -61, false), (2, 2, -60, true)],
        ),
        ("one wrong response", &[(0, 0, 0, true), (30, 30, HOUR, false), (60, 60, 60, true)]),
        (
            "a wrong response every other time",
            &[
                (0, 0, 0, true),
                (1, 1, HOUR, false),
                (2, 2, 2, true),
                (3, 3, HOUR, false),
                (4, 4, 4, true),
                (5, 5, HOUR, false),
                (6, 6, 6, true),
            ],
        ),
        (
            "a jump that stays",
            &[
                (0, 0, 0, true),
                (30, 30, HOUR + 30, false),
                (60, 60, HOUR + 60, false),
                (90, 90, HOUR + 90, true),
                (120, 120, HOUR + 120, true),
                (150, 150, 150, false),
            ],
        ),
        (
            "jumps that never agree",
            &[(0, 0, 0, true), (1, 1, HOUR, false), (2, 2, 2 * HOUR, false), (3, 3, 3 * HOUR, false)],
        ),
        (
            "a majority of five",
            &[
                (0, 0, HOUR, false),
                (1, 1, 2 * HOUR, false),
                (2, 2, HOUR + 2, false),
                (3, 3, 3 * HOUR, false),
                (4, 4, HOUR + 4, true),
            ],
        ),
        ("a minute in two steps", &[(0, 0, 0, true), (1, 1, 61, true), (2, 2, 122, true)]),
        (
            "set back",
            &[
                (0, 0, 0, true),
                (30, 30, 30 - HOUR, false),
                (60, 60, 60 - HOUR, false),
                (90, 90, 90 - HOUR, true),
                (120, 120, 120 - HOUR, true),
            ],
        ),
        ("this machine's time of day is set later", &[(0, 0, 0, true), (30, 30 + HOUR, 30, true)]),
        (
            "the machine was suspended",
            &[
                (0, 0, 0, true),
                (5, 5 + HOUR, 5 + HOUR, false),
                (6, 6 + HOUR, 6 + HOUR, false),
                (7, 7 + HOUR, 7 + HOUR, true),
            ],
        ),
    ];
    for (name, rows) in table {
        let mut bench = Bench::new();
        for &(second, utc, date, is_believed) in *rows {
            assert_eq!(bench.observe(second, utc, date).is_believed, is_believed, "{name}: {second}");
        }
    }
}

#[test]
fn the_time_believed_moves_by_the_monotonic_clock_and_not_by_what_is_doubted() {
    let mut bench = Bench::new();
    assert_eq!(bench.time(0), None);
    bench.observe(0, 0, 0);
    bench.observe(10, 10, 7200);
    assert_eq!((bench.time(10), bench.time(70)), (Some(instant(10)), Some(instant(70))));
    assert_eq!(bench.clock.claimed(bench.at(20)), Some(instant(7210)));
}

#[test]
fn three_responses_confirm_a_time_that_was_believed_from_the_first() {
    let mut bench = Bench::new();
    let confirmed = [0, 1, 2].map(|second| {
        bench.observe(second, 0, i64::try_from(second).unwrap());
        bench.clock.is_confirmed()
    });
    assert_eq!(confirmed, [false, false, true]);
}

#[test]
fn the_time_is_never_ahead_of_the_service() {
    let mut bench = Bench::new();
    // Its head took 3 s: the service may have read its data right after the request was sent.
    let observation = bench.slow(0, 0, 3, 3);
    assert_eq!(observation.served_at.earliest, instant(0));
    assert_eq!(bench.time(3), Some(instant(3)));
}

#[test]
fn a_slow_response_does_not_make_the_next_one_a_jump() {
    let mut bench = Bench::new();
    bench.observe(0, 0, 0);
    assert!(bench.slow(10, 10, 110, 100).is_believed);
    assert_eq!(bench.time(10), Some(instant(10)));
    assert!(bench.observe(120, 120, 120).is_believed);
}

#[test]
fn clocks_that_differ_are_reported_once_each_time_that_they_begin_to() {
    let mut bench = Bench::new();
    let reported = [(0, 0), (10, 500), (20, 510), (30, 30), (40, -500)].map(|(second, date)| {
        let observation = bench.observe(second, i64::try_from(second).unwrap(), date);
        observation.apart.map(|apart| apart.num_seconds())
    });
    assert_eq!(reported, [None, Some(490), None, None, Some(-539)]);
}

#[test]
fn no_time_overflows() {
    let mut bench = Bench::new();
    let far = DateTime::from(httpdate::parse_http_date("Fri, 31 Dec 9999 23:59:59 GMT").unwrap());
    for (utc, date, took) in [
        (DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC, Duration::MAX),
        (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, Duration::ZERO),
        (DateTime::<Utc>::MIN_UTC, far, Duration::from_secs(1 << 40)),
        (instant(0), far, Duration::ZERO),
    ] {
        for second in 0..4 {
            let sent = bench.at(second);
            let _ = bench.clock.observe(DateReading { sent, utc, took, date });
        }
        let _ = bench.time(u64::from(u32::MAX));
    }
}

#[test]
fn what_counts_as_read_is_the_earliest_of_three_clocks() {
    for (earliest, believed, utc, expected) in [
        (0, Some(0), 0, Some(0)),
        (0, Some(20), 50, Some(0)),
        (20, Some(0), 50, Some(0)),
        (20, Some(20), -900, Some(-900)),
        (3600, Some(0), 3600, None),
        (-3600, Some(0), 0, None),
        (0, None, 0, None),
    ] {
        let (earliest, utc) = (instant(earliest), instant(utc));
        let served_at = ServedAt { sent: Instant::now(), utc, earliest, latest: earliest + RESOLUTION };
        assert_eq!(served_at.supported(believed.map(instant)), expected.map(instant));
    }
}
