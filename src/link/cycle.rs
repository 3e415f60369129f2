//! `CycleDetector`: the guard against next links that lead back.

use std::fmt;

use url::{Position, Url};

use crate::error::{Error, LinkErrorKind, Result};

/// Finds a page that comes back, in a cycle of any length, in constant memory: Brent's algorithm.
///
/// The pages at steps 1, 2, 4, 8 … are marked; each mark replaces the previous one. A list in a cycle reaches the
/// marked page again as soon as the mark is in the cycle and is kept for the length of the cycle:
/// within three times the number of different pages. A page that links to itself is found immediately.
pub(crate) struct CycleDetector {
    page: Url,
    marked: Url,
    steps: u64,
}

impl CycleDetector {
    pub(crate) fn new(start: &Url) -> Self {
        Self { page: start.clone(), marked: start.clone(), steps: 0 }
    }

    /// Notes the step to `next`.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] with `Cycle` if `next` is the marked page.
    pub(crate) fn follow(&mut self, next: &Url) -> Result<()> {
        if *next == self.page || *next == self.marked {
            let page = &next[..Position::AfterPath];
            return Err(Error::link(LinkErrorKind::Cycle, super::redacted(page.as_bytes())));
        }
        self.page = next.clone();
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.marked = next.clone();
        }
        Ok(())
    }
}

/// Without the URLs, because their queries must not be logged.
impl fmt::Debug for CycleDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CycleDetector").field("steps", &self.steps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n: usize) -> Url {
        Url::parse(&format!("https://webexapis.com/v1/events?cursor={n}")).unwrap()
    }

    /// The step at which a list of `tail` pages before a cycle of `length` is stopped.
    fn stopped_at(tail: usize, length: usize) -> usize {
        let mut walk = CycleDetector::new(&page(0));
        for step in 1..=1000 {
            let at = if step < tail { step } else { tail + (step - tail) % length };
            if let Err(error) = walk.follow(&page(at)) {
                assert_eq!(error.link_kind(), Some(LinkErrorKind::Cycle));
                return step;
            }
        }
        panic!("a list of {tail} pages before a cycle of {length} is not stopped");
    }

    #[test]
    fn a_cycle_of_any_length_is_found_soon_and_never_too_soon() {
        for tail in 0..=40 {
            for length in 1..=40 {
                let pages = tail + length;
                let step = stopped_at(tail, length);
                assert!((pages..=3 * pages).contains(&step), "{tail} + {length}: stopped at step {step}");
            }
        }
    }

    #[test]
    fn a_page_that_links_to_itself_is_found_immediately() {
        for tail in 0..=100 {
            assert_eq!(stopped_at(tail, 1), tail + 1);
        }
    }

    #[test]
    fn a_list_without_a_cycle_continues() {
        let mut cycles = CycleDetector::new(&page(0));
        assert!((1..10_000).all(|n| cycles.follow(&page(n)).is_ok()));
    }

    #[test]
    fn pages_that_differ_in_a_byte_are_different() {
        let mut cycles = CycleDetector::new(&page(0));
        for text in
            ["https://webexapis.com/a%2fb", "https://webexapis.com/a%2Fb", "https://webexapis.com/a/b"]
        {
            cycles.follow(&Url::parse(text).unwrap()).unwrap();
        }
    }

    #[test]
    fn neither_its_error_nor_its_debug_shows_a_query() {
        let mut cycles = CycleDetector::new(&page(7));
        let shown = format!("{cycles:?} {}", cycles.follow(&page(7)).unwrap_err());
        assert!(shown.contains("/v1/events") && !shown.contains("cursor"), "{shown}");
    }
}
