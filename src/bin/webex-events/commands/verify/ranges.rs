//! Ranges of time: missing ones, and adjacent ones that can be listed together.

use std::ops::Range;

use chrono::{DateTime, Utc};

/// A half-open range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeSpan {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

impl TimeSpan {
    pub(super) fn contains(self, instant: DateTime<Utc>) -> bool {
        (self.start..self.end).contains(&instant)
    }

    /// The part within these bounds, if there is one.
    pub(super) fn within(self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<Self> {
        let start = from.map_or(self.start, |from| from.max(self.start));
        let end = to.map_or(self.end, |to| to.min(self.end));
        (start < end).then_some(Self { start, end })
    }
}

/// The spans that aren't done, oldest first. Adjacent ones are joined.
pub(super) fn gaps(
    spans: impl IntoIterator<Item = TimeSpan>,
    is_done: impl Fn(&TimeSpan) -> bool,
) -> Vec<TimeSpan> {
    let mut gaps: Vec<TimeSpan> = Vec::new();
    for span in spans.into_iter().filter(|span| !is_done(span)) {
        match gaps.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => gaps.push(span),
        }
    }
    gaps
}

/// The runs of spans that follow each other without a gap, as ranges of indices. `spans` are oldest first.
pub(super) fn runs(spans: &[TimeSpan]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut end = None;
    for (index, span) in spans.iter().enumerate() {
        match runs.last_mut() {
            Some(last) if end == Some(span.start) => last.end = index + 1,
            _ => runs.push(index..index + 1),
        }
        end = Some(span.end);
    }
    runs
}

/// The index of the span that contains this instant. `spans` are oldest first and don't overlap.
pub(super) fn find(spans: &[TimeSpan], instant: DateTime<Utc>) -> Option<usize> {
    let index = spans.partition_point(|span| span.end <= instant);
    spans.get(index).filter(|span| span.contains(instant)).map(|_| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn span(start: i64, end: i64) -> TimeSpan {
        TimeSpan { start: at(start), end: at(end) }
    }

    #[test]
    fn adjacent_spans_are_one_gap() {
        let slices = [span(0, 1), span(1, 2), span(2, 3), span(3, 4), span(4, 5)];
        let done = [span(1, 2), span(4, 5)];
        assert_eq!(gaps(slices, |slice| done.contains(slice)), [span(0, 1), span(2, 4)]);
        assert_eq!(gaps(slices, |_| true), []);
        assert_eq!(gaps(slices, |_| false), [span(0, 5)]);
    }

    #[test]
    fn files_that_follow_each_other_are_one_run() {
        assert_eq!(runs(&[span(0, 1), span(1, 2), span(3, 4), span(5, 6), span(6, 9)]), [0..2, 2..3, 3..5]);
        assert!(runs(&[]).is_empty());
    }

    #[test]
    fn an_instant_is_found_in_its_half_open_span() {
        let spans = [span(0, 2), span(2, 4), span(6, 8)];
        let found = [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8].map(|second| find(&spans, at(second)));
        let expected = [None, Some(0), Some(0), Some(1), Some(1), None, None, Some(2), Some(2), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_span_is_limited_to_bounds() {
        let cut = |from: Option<i64>, to: Option<i64>| span(2, 6).within(from.map(at), to.map(at));
        assert_eq!(cut(None, None), Some(span(2, 6)));
        assert_eq!(cut(Some(0), Some(9)), Some(span(2, 6)));
        assert_eq!(cut(Some(3), Some(5)), Some(span(3, 5)));
        assert_eq!(cut(Some(6), None), None);
        assert_eq!(cut(None, Some(2)), None);
    }
}
