//! `Cursor`: a position in a list, to be stored and resumed.

use std::{
    fmt::{self, Write as _},
    ops::Range,
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use url::Url;

use crate::{
    error::{Error, Result},
    event::batch::ItemKey,
    fingerprint::Fingerprint,
    query::ListEvents,
};

/// A position in a list: after some event of some page.
///
/// It is text for a file or a database: one line without spaces, with a version and a checksum, as
/// [`Display`](fmt::Display) or in any format of serde. Lines that earlier versions of this crate wrote are read too.
/// It never holds the token, but it does hold the page's URL, with whatever the query filters by; [`Debug`] shows
/// neither.
///
/// [`Client::resume`](crate::Client::resume) requests the page again and continues after the last event that was
/// yielded, at whatever position it has by then. If that event is no longer on the page, the whole page is yielded,
/// because a repeat is better than a loss. Malformed items after that event have no id; one is skipped only if an item
/// with the same bytes has been yielded. How long the service keeps its pages is undocumented;
/// if it responds with 400, 404 or 410, the error is [`Error::Cursor`].
///
/// A page after the first is requested in the size of the list that the cursor comes from, because the service's own
/// links contain the size. The position on the first page of a list that
/// [`take`](crate::EventStream::take) shortened is resumed with the query's own page size.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, Cursor, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut events = client.list(ListEvents::new());
/// events.try_next().await?;
/// let stored: Option<String> = events.cursor().map(|cursor| cursor.to_string());
///
/// if let Some(line) = stored {
///     let cursor: Cursor = line.parse()?;
///     let rest = client.resume(&cursor);
/// #   drop(rest);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) url: String,
    pub(crate) taken: Taken,
    pub(crate) query: ListEvents,
}

/// The part of a page that has been yielded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The number of items, events and malformed ones.
    #[serde(rename = "n")]
    items: usize,
    /// The id of the last event among them.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    last: Option<Box<str>>,
    /// The number of malformed items that were yielded after that event.
    #[serde(rename = "m", default)]
    malformed: usize,
    /// Identifies those malformed items: one fingerprint for each, or one for all of more than [`MOST_SINGLE`]. The
    /// first version had only their number.
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    fingerprints: Vec<Fingerprint>,
}

/// The most malformed items that have a fingerprint each, so that a cursor stays short.
const MOST_SINGLE: usize = 64;

impl Taken {
    /// The first `items` of a page.
    pub(crate) fn of<'a>(items: usize, key: impl Fn(usize) -> ItemKey<'a>) -> Self {
        let event = |index| match key(index) {
            ItemKey::Event(id) => Some((index, id)),
            ItemKey::Malformed(_) => None,
        };
        let last = (0..items).rev().find_map(event);
        let start = last.map_or(0, |(index, _)| index + 1);
        Self {
            items,
            last: last.map(|(_, id)| id.into()),
            malformed: items - start,
            fingerprints: match items - start {
                0 => Vec::new(),
                1..=MOST_SINGLE => (start..items).filter_map(|index| fingerprint(key(index))).collect(),
                _ => fingerprint_of_all(start..items, &key).into_iter().collect(),
            },
        }
    }

    /// Returns whether nothing of the page has been yielded.
    pub(crate) fn is_none(&self) -> bool {
        self.items == 0
    }

    /// The position at which to continue in a page of `items`, which may have changed since.
    ///
    /// It is after the last event if that is still there, else at the start; then after malformed items that have been
    /// yielded.
    pub(crate) fn resume_at<'a>(&self, items: usize, key: impl Fn(usize) -> ItemKey<'a>) -> usize {
        let start = match &self.last {
            None => 0,
            Some(last) => {
                let is_last = |index: &usize| key(*index) == ItemKey::Event(last);
                let before = self.items.checked_sub(self.malformed).and_then(|start| start.checked_sub(1));
                let found = before.filter(|&index| index < items).filter(is_last);
                let Some(index) = found.or_else(|| (0..items).find(is_last)) else { return 0 };
                index + 1
            }
        };
        if self.malformed > MOST_SINGLE {
            let is_same = |end: &usize| {
                *end <= items && fingerprint_of_all(start..*end, &key).as_ref() == self.fingerprints.first()
            };
            return start.checked_add(self.malformed).filter(is_same).unwrap_or(start);
        }
        let mut left = self.fingerprints.clone();
        let is_taken = |index: &usize| {
            let found =
                fingerprint(key(*index)).and_then(|item| left.iter().position(|&taken| taken == item));
            found.map(|at| left.swap_remove(at)).is_some()
        };
        start + (start..items).take_while(is_taken).count()
    }
}

/// Identifies a malformed item.
fn fingerprint(item: ItemKey<'_>) -> Option<Fingerprint> {
    match item {
        ItemKey::Event(_) => None,
        ItemKey::Malformed(bytes) => Some(Fingerprint::of(bytes)),
    }
}

/// Identifies a run of malformed items; `None` if one of them is an event.
fn fingerprint_of_all<'a>(
    mut items: Range<usize>,
    key: impl Fn(usize) -> ItemKey<'a>,
) -> Option<Fingerprint> {
    let all = items.try_fold(String::new(), |mut all, index| {
        write!(all, "{}", fingerprint(key(index))?).ok()?;
        Some(all)
    });
    all.map(Fingerprint::of)
}

/// The beginning of the line, up to its version.
const NAME: &str = "webex-events-cursor:";

/// The version that is written.
const VERSION: &str = "2";

#[derive(Serialize, Deserialize)]
struct Text<U, T, Q> {
    url: U,
    taken: T,
    query: Q,
}

impl Cursor {
    /// The start of the page at `url`.
    pub(crate) fn at(url: impl Into<String>, query: ListEvents) -> Self {
        Self { url: url.into(), taken: Taken::default(), query }
    }
}

impl Cursor {
    /// The start of the page at `url`, which another client has stored, such as the `NextPage` of the Go SDK.
    ///
    /// The URL is requested byte for byte. Its origin is checked when the cursor is resumed: a URL of another origin
    /// than the client's base URL and allowed origins is [`Error::Link`], and nothing is sent.
    ///
    /// ```
    /// use webex_events::{Cursor, Error};
    ///
    /// let cursor = Cursor::from_page_url("https://webexapis.com/v1/events?max=100&cursor=bmV4dA")?;
    /// assert_eq!(cursor.to_string().parse::<Cursor>()?, cursor);
    /// assert!(matches!(Cursor::from_page_url("/v1/events?cursor=bmV4dA"), Err(Error::Cursor { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Cursor`] if it is not an absolute URL with a host.
    pub fn from_page_url(url: &str) -> Result<Self> {
        let url = url.trim();
        if Url::parse(url).is_ok_and(|url| url.has_host()) {
            return Ok(Self::at(url, ListEvents::new()));
        }
        Err(Error::cursor("the page URL is not an absolute URL with a host"))
    }
}

/// The opaque line. It is made to be stored, and shows the page's URL to anybody who decodes it.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text { url: &self.url, taken: &self.taken, query: &self.query };
        let text = serde_json::to_vec(&text).map_err(|_| fmt::Error)?;
        write!(f, "{NAME}{VERSION}:{}:{:08x}", URL_SAFE_NO_PAD.encode(&text), checksum(VERSION, &text))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Cursor`] if the text is not a cursor, is damaged or cut off, or comes from a later
    /// version of this crate.
    fn from_str(line: &str) -> Result<Self> {
        let damaged = || Error::cursor("the cursor is damaged");
        let body = line.trim().strip_prefix(NAME).ok_or_else(|| Error::cursor("the text is not a cursor"))?;
        let (version, body) = body.split_once(':').ok_or_else(damaged)?;
        if !["1", VERSION].contains(&version) {
            return Err(Error::cursor("the cursor comes from another version of this crate"));
        }
        let (text, sum) = body.split_once(':').ok_or_else(damaged)?;
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| damaged())?;
        if sum != format!("{:08x}", checksum(version, &text)) {
            return Err(damaged());
        }
        let text: Text<String, Taken, ListEvents> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        Ok(Self { url: text.url, taken: text.taken, query: text.query })
    }
}

/// From the second version it covers the version too.
fn checksum(version: &str, text: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    if version != "1" {
        checksum.update(version.as_bytes());
    }
    checksum.update(text);
    checksum.finalize()
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("taken", &self.taken.items).finish_non_exhaustive()
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of items: a lower-case letter is an event with that id, anything else a malformed item.
    fn keys<'a>(page: &'a str) -> impl Fn(usize) -> ItemKey<'a> {
        move |index| {
            let item = &page[index..=index];
            if item < "a" { ItemKey::Malformed(item.as_bytes()) } else { ItemKey::Event(item) }
        }
    }

    fn resume(before: &str, taken: usize, after: &str) -> usize {
        Taken::of(taken, keys(before)).resume_at(after.len(), keys(after))
    }

    #[test]
    fn an_unchanged_page_continues_exactly_where_it_was_left() {
        for page in ["abcd", ".a.b..c.", "...", "", "aabab", "a.a.a", "a.-b-.", ".-", ".-a.-"] {
            for taken in 0..=page.len() {
                assert_eq!(resume(page, taken, page), taken, "{page} after {taken}");
            }
        }
    }

    #[test]
    fn a_changed_page_is_read_after_the_last_event_at_whatever_position_it_has() {
        assert_eq!(resume("abcd", 2, "xyabcd"), 4);
        assert_eq!(resume("abcd", 3, "cd"), 1);
        assert_eq!(resume("ab.cd", 3, "xab.cd"), 4);
    }

    #[test]
    fn a_page_without_the_last_event_is_yielded_completely() {
        assert_eq!(resume("abcd", 2, "xyz"), 0);
        assert_eq!(resume("ab.d", 3, ".yz"), 0);
        assert_eq!(resume("abcd", 2, ""), 0);
    }

    #[test]
    fn malformed_items_are_skipped_only_if_they_are_the_same() {
        for (before, taken, after, expected) in [
            ("a..b", 3, "a.xb", 2),
            ("..ab", 2, "x.ab", 0),
            ("a.b", 2, "a-b", 1),
            ("a.b", 2, "a-.b", 1),
            ("a.-b", 3, "a-.b", 3),
            ("a..b", 2, "a..b", 2),
            ("a..b", 3, "a...b", 3),
            (".b", 1, "-b", 0),
            (".b", 1, "-.b", 0),
            ("a.-b", 3, "a.", 2),
            ("a.-b", 3, "a-", 2),
            ("a.b", 2, "xya.-b", 4),
        ] {
            assert_eq!(resume(before, taken, after), expected, "{before} after {taken}: {after}");
        }
    }

    #[test]
    fn many_malformed_items_take_little_room_and_are_skipped_if_all_are_the_same() {
        let (many, changed) = (".".repeat(1000), format!("{}-", ".".repeat(999)));
        assert_eq!(resume(&many, 900, &many), 900);
        assert_eq!(resume(&many, 1000, &changed), 0);
        let taken = Taken::of(900, keys(&many));
        assert!(serde_json::to_string(&taken).unwrap().len() < 100);
    }

    #[test]
    fn forged_numbers_repeat_and_do_not_overflow() {
        for numbers in ["\"n\":MAX,\"m\":MAX", "\"n\":0,\"m\":MAX", "\"n\":MAX,\"m\":0", "\"n\":1,\"m\":9"] {
            for id in ["", ",\"id\":\"a\"", ",\"id\":\"x\""] {
                for hash in ["", ",\"h\":[\"00000000000000000000000000000000\"]"] {
                    let text = format!("{{{}{id}{hash}}}", numbers.replace("MAX", &usize::MAX.to_string()));
                    let taken: Taken = serde_json::from_str(&text).unwrap();
                    let expected = usize::from(id.contains('a'));
                    assert_eq!(taken.resume_at(3, keys("a.b")), expected, "{text}");
                }
            }
        }
    }

    fn cursor() -> Cursor {
        let query = ListEvents::new().resource("messages").page_size(3).param("a", "b");
        let taken = Taken::of(3, keys("ab.c"));
        Cursor { taken, ..Cursor::at("https://webexapis.com/v1/events?cursor=SECRET", query) }
    }

    #[test]
    fn a_cursor_survives_as_a_line_and_in_serde() {
        let line = cursor().to_string();
        assert!(!line.contains(char::is_whitespace) && !line.contains("SECRET"), "{line}");
        assert_eq!(format!(" {line}\n").parse::<Cursor>().unwrap(), cursor());
        let json = serde_json::to_string(&cursor()).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor());
        assert!(!format!("{:?}", cursor()).contains("http"));
    }

    #[test]
    fn a_damaged_cursor_is_refused_at_every_cut_and_every_changed_byte() {
        let line = cursor().to_string();
        let refused = |text: &str| matches!(text.parse::<Cursor>(), Err(Error::Cursor { .. }));
        for end in 0..line.len() {
            assert!(refused(&line[..end]), "{end}");
            let mut bytes = line.clone().into_bytes();
            bytes[end] = if bytes[end] == b'0' { b'1' } else { b'0' };
            assert!(refused(std::str::from_utf8(&bytes).unwrap()), "{end}");
        }
        assert!(refused(&line.replacen(":2:", ":1:", 1)) && refused(&line.replacen(":2:", ":3:", 1)));
    }

    #[test]
    fn a_cursor_of_the_first_version_is_read() {
        let line = "webex-events-cursor:1:eyJ1cmwiOiJodHRwczovL3dlYmV4YXBpcy5jb20vdjEvZXZlbnRzP2N1cnNvcj1TRUNSRVQiLCJ0YWtlbiI6eyJuIjo0LCJpZCI6ImIiLCJtIjoyfSwicXVlcnkiOnsicmVzb3VyY2UiOiJtZXNzYWdlcyIsImZyb20iOiIyMDI2LTAxLTA1VDA5OjAwOjAwWiIsIm1heCI6MywicGFyYW1zIjpbWyJhIiwiYiJdXX19:563f6524";
        let query = ListEvents::new()
            .resource("messages")
            .from("2026-01-05T09:00:00Z".parse().unwrap())
            .page_size(3)
            .param("a", "b");
        let taken = Taken { items: 4, last: Some("b".into()), malformed: 2, fingerprints: vec![] };
        let expected = Cursor { taken, ..Cursor::at("https://webexapis.com/v1/events?cursor=SECRET", query) };
        assert_eq!(line.parse::<Cursor>().unwrap(), expected);
        assert_eq!(serde_json::from_str::<Cursor>(&format!("\"{line}\"")).unwrap(), expected);
        // Their number alone does not identify malformed items.
        assert_eq!(expected.taken.resume_at(5, keys("ab..c")), 2);

        let start = "webex-events-cursor:1:eyJ1cmwiOiJodHRwczovL3dlYmV4YXBpcy5jb20vdjEvZXZlbnRzP21heD0xMDAwIiwidGFrZW4iOnsibiI6MCwibSI6MH0sInF1ZXJ5Ijp7fX0:032e5780";
        let expected = Cursor::at("https://webexapis.com/v1/events?max=1000", ListEvents::new());
        assert_eq!(start.parse::<Cursor>().unwrap(), expected);
    }

    #[test]
    fn a_page_url_is_kept_byte_for_byte_if_it_is_absolute() {
        let url = "https://webexapis.com/v1/events?cursor=Ab+/cd==&q=%2B%20a";
        assert_eq!(Cursor::from_page_url(url).unwrap().url, url);
        for other in
            ["", "events", "/v1/events", "//webexapis.com/v1/events", "mailto:a@b", "https://", "https:"]
        {
            assert!(matches!(Cursor::from_page_url(other), Err(Error::Cursor { .. })), "{other}");
        }
    }
}
