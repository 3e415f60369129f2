//! One page of a list.

use super::{
    cursor::PageCursor,
    faults::{InjectedFaults, LinkFault},
    query::Query,
    service::{RefusedRequest, SandboxState},
    store::{Filter, Store},
};

const DAY: i64 = 24 * 3_600_000;

#[derive(Debug)]
pub(super) struct ListPage {
    pub(super) body: Vec<u8>,
    /// The values of its `Link` headers.
    pub(super) links: Vec<String>,
    pub(super) items: usize,
}

impl SandboxState {
    /// Returns a page of the list that this query string describes.
    pub(super) fn list(&self, query: &str) -> Result<ListPage, RefusedRequest> {
        let now = self.clock.now();
        let (query, cursor) = Query::parse(query)
            .map_err(|name| RefusedRequest::bad_request(format!("Invalid value for parameter: {name}")))?;
        let faults = self.faults().clone();
        let store = self.store();
        query.check(&store, now, cursor.is_some()).map_err(RefusedRequest::bad_request)?;
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
            (Vec::new(), Some(PageCursor { blanks, ..here }))
        } else {
            let found = store.page(here.selection(), &filter, here.after, query.max);
            let after = found.numbers.last().map(|&number| store.sort_key(number));
            let has_next = found.more || (faults.trailing_empty_page && after.is_some());
            let next = PageCursor { after, page: here.page + 1, blanks: faults.blanks(), ..here };
            (found.numbers, has_next.then_some(next))
        };
        let links =
            next.map(|next| next.with_query_hash(&query, &store, now)).map_or_else(Vec::new, |next| {
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
        Ok(ListPage { body, links, items: numbers.len() })
    }

    /// The position of the first page. It fixes the window of all further pages.
    fn first(&self, query: &Query, store: &Store, now: i64) -> Result<PageCursor, RefusedRequest> {
        if let (Some(days), Some(from)) = (self.options.retention, query.from)
            && from.millis < now.saturating_sub(i64::from(days).saturating_mul(DAY))
        {
            let reason = format!("User is only authorized to search within past {days} days.");
            return Err(RefusedRequest { status: 403, reason });
        }
        Ok(PageCursor {
            epoch: self.cursors().epoch(),
            version: store.version(),
            created: self.options.bounds.apply(query.from, query.to, now),
            after: None,
            page: 0,
            blanks: 0,
            query_hash: 0,
        })
    }

    /// The position that a cursor of an earlier page holds.
    fn admit(
        &self,
        text: &str,
        query: &Query,
        faults: &InjectedFaults,
        now: i64,
    ) -> Result<PageCursor, RefusedRequest> {
        let cursor = PageCursor::decode(text)
            .filter(|cursor| cursor.query_hash == query.hash_value())
            .ok_or_else(|| RefusedRequest::bad_request("Invalid value for parameter: cursor"))?;
        if self.cursors().admit(cursor, faults.expiry, now) {
            return Ok(cursor);
        }
        Err(RefusedRequest { status: faults.expiry.status, reason: "The cursor has expired.".to_owned() })
    }

    /// The `Link` headers of a page with a next one, faults included.
    fn links(
        &self,
        query: &Query,
        store: &Store,
        filter: &Filter,
        next: PageCursor,
        now: i64,
    ) -> Vec<String> {
        let pinned = pinned(query, store, &next, now);
        let target =
            |cursor: PageCursor| format!("{}/events?{}", self.base_url, pinned.with_cursor(&cursor.encode()));
        let link = |target: &str| format!("<{target}>; rel=\"next\"");
        let elsewhere = |origin: &str| link(&target(next).replacen(self.origin(), origin, 1));
        let first = || target(PageCursor { after: None, page: 0, blanks: 0, ..next });
        let fault = self.faults().link(Some(query), self.started.elapsed(), self.seed);
        match fault {
            None => vec![link(&target(next))],
            Some(LinkFault::Foreign) => vec![elsewhere("https://webexapis.invalid")],
            Some(LinkFault::Origin(origin)) => vec![elsewhere(origin.trim_end_matches('/'))],
            Some(LinkFault::Cycle(back)) => {
                let page = next.page.saturating_sub(1).saturating_sub(back).max(1);
                let after = store.page_start(next.selection(), filter, page as usize, query.max);
                let blanks = self.faults().blanks();
                vec![link(&target(PageCursor { after, page, blanks, ..next }))]
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

impl PageCursor {
    fn with_query_hash(self, query: &Query, store: &Store, now: i64) -> Self {
        if self.query_hash != 0 {
            return self; // the links of a list keep the query of its first link
        }
        Self { query_hash: pinned(query, store, &self, now).hash_value(), ..self }
    }
}

/// The query in the links of its pages: with the window that the list is pinned to.
fn pinned(query: &Query, store: &Store, cursor: &PageCursor, now: i64) -> Query {
    use super::query::QueryTime;

    let whole = |millis| Some(QueryTime { millis, has_submillis: false });
    let oldest = || store.oldest(cursor.selection()).unwrap_or(now);
    Query {
        from: whole(query.from.map_or_else(oldest, |from| from.millis)),
        to: whole(query.to.map_or(now, |to| to.millis)),
        ..query.clone()
    }
}
