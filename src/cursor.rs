//! `Cursor`: a place in a list, to be stored and come back to.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    error::{Error, Result},
    query::ListEvents,
};

/// A place in a list: behind some event of some page.
///
/// It is text for a file or a database: one line without spaces, with a checksum, as
/// [`Display`](fmt::Display) or in any format of serde. It never holds the token, but it does hold
/// the page's URL, with whatever the query filters by; [`Debug`] shows neither.
///
/// [`Client::resume`](crate::Client::resume) asks for the page again and goes on behind the last
/// event that was handed out, wherever it stands by then. If that event is gone from the page, the
/// whole page is given: a repeat is better than a loss. How long the service keeps its pages is
/// undocumented; when it answers 400, 404 or 410 the error is [`Error::Cursor`].
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
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) url: String,
    pub(crate) taken: Taken,
    pub(crate) query: ListEvents,
}

/// How much of a page has been handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// How many items, events and malformed ones.
    #[serde(rename = "n")]
    items: usize,
    /// The id of the last event among them.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    last: Option<Box<str>>,
    /// How many malformed items were handed out behind that event.
    #[serde(rename = "m", default)]
    malformed: usize,
}

impl Taken {
    /// The first `items` of a page, where `id` gives the id of an item that isn't malformed.
    pub(crate) fn of<'a>(items: usize, id: impl Fn(usize) -> Option<&'a str>) -> Self {
        let last = (0..items).rev().find_map(|index| Some((index, id(index)?)));
        Self {
            items,
            malformed: last.map_or(items, |(index, _)| items - index - 1),
            last: last.map(|(_, id)| id.into()),
        }
    }

    /// Where to go on in a page that may have changed since.
    ///
    /// Behind the last event if it is still there, else from the start; then behind the malformed
    /// items, which have no id, as far as there still are any in their place.
    pub(crate) fn resume_at<'a>(&self, items: usize, id: impl Fn(usize) -> Option<&'a str>) -> usize {
        let behind = match &self.last {
            None => Some(0),
            Some(last) => {
                let is_last = |index: &usize| id(*index) == Some(last);
                let before = self.items.checked_sub(self.malformed + 1).filter(|&index| index < items);
                before.filter(is_last).or_else(|| (0..items).find(is_last)).map(|index| index + 1)
            }
        };
        let Some(start) = behind else { return 0 };
        let gone = (start..items).take(self.malformed).take_while(|&index| id(index).is_none()).count();
        start + gone
    }
}

const PREFIX: &str = "webex-events-cursor:1:";

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

/// The opaque line. It is made to be stored and shows the page's URL to whoever decodes it.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text { url: &self.url, taken: &self.taken, query: &self.query };
        let text = serde_json::to_vec(&text).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}:{:08x}", URL_SAFE_NO_PAD.encode(&text), crc32fast::hash(&text))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Cursor`] if the text isn't a cursor, is damaged or cut off, or comes from a later
    /// version of this crate.
    fn from_str(line: &str) -> Result<Self> {
        let damaged = || Error::cursor("the cursor is damaged");
        let line = line.trim();
        let Some(body) = line.strip_prefix(PREFIX) else {
            return Err(Error::cursor(if line.starts_with("webex-events-cursor:") {
                "the cursor comes from another version of this crate"
            } else {
                "this isn't a cursor"
            }));
        };
        let (text, sum) = body.split_once(':').ok_or_else(damaged)?;
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| damaged())?;
        if sum != format!("{:08x}", crc32fast::hash(&text)) {
            return Err(damaged());
        }
        let text: Text<String, Taken, ListEvents> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        Ok(Self { url: text.url, taken: text.taken, query: text.query })
    }
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

    /// A page of items: a letter is an event with that id, a dot a malformed item.
    fn ids<'a>(page: &'a str) -> impl Fn(usize) -> Option<&'a str> {
        move |index| page.get(index..=index).filter(|&id| id != ".")
    }

    fn resume(before: &str, taken: usize, after: &str) -> usize {
        Taken::of(taken, ids(before)).resume_at(after.len(), ids(after))
    }

    #[test]
    fn an_unchanged_page_goes_on_exactly_where_it_was_left() {
        for page in ["abcd", ".a.b..c.", "...", "", "aabab", "a.a.a"] {
            for taken in 0..=page.len() {
                assert_eq!(resume(page, taken, page), taken, "{page} behind {taken}");
            }
        }
    }

    #[test]
    fn a_changed_page_is_read_behind_the_last_event_wherever_it_stands() {
        assert_eq!(resume("abcd", 2, "xyabcd"), 4);
        assert_eq!(resume("abcd", 3, "cd"), 1);
        assert_eq!(resume("ab.cd", 3, "xab.cd"), 4);
    }

    #[test]
    fn a_page_without_the_last_event_is_given_whole() {
        assert_eq!(resume("abcd", 2, "xyz"), 0);
        assert_eq!(resume("ab.d", 3, ".yz"), 0);
        assert_eq!(resume("abcd", 2, ""), 0);
    }

    #[test]
    fn malformed_items_are_passed_over_only_where_they_still_are() {
        assert_eq!(resume("a..b", 3, "a.xb"), 2);
        assert_eq!(resume("..ab", 2, "x.ab"), 0);
    }

    fn cursor() -> Cursor {
        let query = ListEvents::new().resource("messages").page_size(3).param("a", "b");
        let taken = Taken::of(2, ids("abc"));
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
        assert!(refused(&line.replacen(":1:", ":2:", 1)));
    }
}
