//! One page of a list.

use super::{
    cursor::Cursor,
    faults::{Faults, LinkFault},
    query::Query,
    service::{Refused, State},
    store::{Filter, Store},
};

const DAY: i64 = 24 * 3_600_000;

#[derive(Debug)]
pub(super) struct Page {
    pub(super) body: Vec<u8>,
    /// The values of its `Link` lines.
    pub(super) links: Vec<String>,
    pub(super) items: usize,
}

impl State {
    /// Answers a list with this query string.
    pub(super) fn list(&self, query: &str) -> Result<Page, Refused> {
        let now = self.clock.now();
        let (query, cursor) = Query::parse(query)
            .map_err(|name| Refused::bad_request(format!("Invalid value for parameter: {name}")))?;
        let faults = self.faults().clone();
        let store = self.store();
        query.check(&store, now, cursor.is_some()).map_err(Refused::bad_request)?;
        let filter =
            store.filter(query.resource.as_deref(), query.event_type.as_deref(), query.actor_id.as_deref());
        let here = match cursor {
            Some(text) => self.admit(&text, &query, &faults, now)?,
            None => self.first(&query, &store, now)?,
        };

        let blanks =
            if faults.endless_empty_pages { here.blanks } else { here.blanks.min(faults.empty_pages) };
        let (numbers, next) = if blanks > 0 {
            let blanks = if faults.endless_empty_pages { blanks.saturating_add(1) } else { blanks - 1 };
            (Vec::new(), Some(Cursor { blanks, ..here }))
        } else {
            let found = store.page(here.selection(), &filter, here.behind, query.max);
            let behind = found.numbers.last().map(|&number| store.place(number));
            let goes_on = found.more || (faults.trailing_empty_page && behind.is_some());
            let next = Cursor { behind, page: here.page + 1, blanks: faults.blanks(), ..here };
            (found.numbers, goes_on.then_some(next))
        };
        let links = next.map(|next| next.marked(&query, &store, now)).map_or_else(Vec::new, |next| {
            self.cursors().issue(next, faults.expiry, now);
            self.links(&query, &store, &filter, next, now)
        });

        let length: usize = numbers.iter().map(|&number| store.text(number).len() + 1).sum();
        let mut body = Vec::with_capacity(length + 16);
        body.extend_from_slice(b"{\"items\":[");
        for (nth, &number) in numbers.iter().enumerate() {
            if nth > 0 {
                body.push(b',');
            }
            faults.items.write(&mut body, number, store.text(number));
        }
        body.extend_from_slice(b"]}");
        Ok(Page { body, links, items: numbers.len() })
    }

    /// Where a list without a cursor begins. Its window is fixed from here on.
    fn first(&self, query: &Query, store: &Store, now: i64) -> Result<Cursor, Refused> {
        if let (Some(days), Some(from)) = (self.options.retention, query.from)
            && from.millis < now.saturating_sub(i64::from(days).saturating_mul(DAY))
        {
            let reason = format!("User is only authorized to search within past {days} days.");
            return Err(Refused { status: 403, reason });
        }
        Ok(Cursor {
            epoch: self.cursors().epoch(),
            version: store.version(),
            created: self.options.bounds.apply(query.from, query.to, now),
            behind: None,
            page: 0,
            blanks: 0,
            mark: 0,
        })
    }

    /// Where a list with a cursor goes on.
    fn admit(&self, text: &str, query: &Query, faults: &Faults, now: i64) -> Result<Cursor, Refused> {
        let cursor = Cursor::decode(text)
            .filter(|cursor| cursor.mark == query.mark())
            .ok_or_else(|| Refused::bad_request("Invalid value for parameter: cursor"))?;
        if self.cursors().admit(cursor, faults.expiry, now) {
            return Ok(cursor);
        }
        Err(Refused { status: faults.expiry.status, reason: "The cursor has expired.".to_owned() })
    }

    /// The `Link` lines of a page with a next one, faults included.
    fn links(&self, query: &Query, store: &Store, filter: &Filter, next: Cursor, now: i64) -> Vec<String> {
        let shown = shown(query, store, &next, now);
        let target =
            |cursor: Cursor| format!("{}/events?{}", self.base_url, shown.with_cursor(&cursor.encode()));
        let link = |target: &str| format!("<{target}>; rel=\"next\"");
        let elsewhere = |origin: &str| link(&target(next).replacen(self.origin(), origin, 1));
        let first = || target(Cursor { behind: None, page: 0, blanks: 0, ..next });
        let fault = self.faults().link(self.started.elapsed(), self.seed);
        match fault {
            None => vec![link(&target(next))],
            Some(LinkFault::Foreign) => vec![elsewhere("https://webexapis.invalid")],
            Some(LinkFault::Origin(origin)) => vec![elsewhere(origin.trim_end_matches('/'))],
            Some(LinkFault::Cycle(back)) => {
                let page = next.page.saturating_sub(1).saturating_sub(back).max(1);
                let behind = store.page_start(next.selection(), filter, page as usize, query.max);
                let blanks = self.faults().blanks();
                vec![link(&target(Cursor { behind, page, blanks, ..next }))]
            }
            Some(LinkFault::Malformed) => vec![format!("<{}; rel=\"next\"", target(next))],
            Some(LinkFault::Ambiguous) => vec![format!("{}, {}", link(&target(next)), link(&first()))],
            Some(LinkFault::NullMax) => {
                let max = format!("max={}", query.max);
                vec![link(&target(next).replacen(&max, "max=null", 1))]
            }
            Some(LinkFault::Relative) => vec![link(&target(next).replacen(self.origin(), "", 1))],
            Some(LinkFault::Joined) => {
                vec![format!("<{}>; title=\"a, b; c\"; rel=\"first\", {}", first(), link(&target(next)))]
            }
            Some(LinkFault::SeparateLines) => {
                vec![format!("<{}>; rel=\"first\"", first()), link(&target(next))]
            }
            Some(LinkFault::Unquoted) => vec![format!("<{}>;REL=NEXT", target(next))],
        }
    }
}

impl Cursor {
    fn marked(self, query: &Query, store: &Store, now: i64) -> Self {
        if self.mark != 0 {
            return self; // what came with a mark goes on with it
        }
        Self { mark: shown(query, store, &self, now).mark(), ..self }
    }
}

/// The query as the links of its pages show it: with the window that they are pinned to.
fn shown(query: &Query, store: &Store, cursor: &Cursor, now: i64) -> Query {
    use super::query::Instant;

    let whole = |millis| Some(Instant { millis, rest: false });
    let oldest = || store.oldest(cursor.selection()).unwrap_or(now);
    Query {
        from: whole(query.from.map_or_else(oldest, |from| from.millis)),
        to: whole(query.to.map_or(now, |to| to.millis)),
        ..query.clone()
    }
}
