//! How long to wait before a follower asks again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);

/// Thirty seconds, and twice as long each time that nothing has come in between, up to five minutes.
#[derive(Debug, Default)]
pub(super) struct Pause {
    last: Option<(Duration, u64)>,
}

impl Pause {
    /// The next wait, when so many pages have come in all, and the service asked for this one.
    pub(super) fn next(&mut self, pages: u64, asked: Option<Duration>) -> Duration {
        let wait = match self.last {
            Some((wait, before)) if before == pages => (wait * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((wait, pages));
        asked.map_or(wait, |asked| asked.max(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_while_nothing_comes() {
        let mut pause = Pause::default();
        let waits: Vec<_> = [0, 0, 0, 0, 0, 0, 1, 1].map(|pages| pause.next(pages, None).as_secs()).into();
        assert_eq!(waits, [30, 60, 120, 240, 300, 300, 30, 60]);
        assert_eq!(pause.next(1, Some(Duration::from_secs(7200))).as_secs(), 7200);
        assert_eq!(pause.next(1, Some(Duration::from_secs(1))).as_secs(), 240);
    }
}
