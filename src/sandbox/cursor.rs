//! The content of the `cursor` in a next link, and its expiry.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::store::{Selection, SortKey};

/// A position in a list. The same position of the same list is encoded to the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PageCursor {
    /// Increased each time that all cursors expire.
    pub(super) epoch: u32,
    pub(super) version: u32,
    pub(super) created: (i64, i64),
    /// The last event that was listed.
    pub(super) after: Option<SortKey>,
    /// The index of the page that the cursor requests, from 0.
    pub(super) page: u32,
    /// The number of empty pages before that page, or those so far if they are endless.
    pub(super) blanks: u32,
    /// The [`hash_value`](super::query::Query::hash_value) of the query in the link.
    pub(super) query_hash: u64,
}

impl PageCursor {
    pub(super) fn selection(&self) -> Selection {
        Selection { created: self.created, version: self.version }
    }

    pub(super) fn encode(&self) -> String {
        let key = self.after.unwrap_or(SortKey { rank: 0, number: u32::MAX });
        let mut bytes = Vec::with_capacity(56);
        for word in [self.created.0, self.created.1, key.rank, self.query_hash.cast_signed()] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        for word in [key.number, self.epoch, self.version, self.page, self.blanks] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, seal) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_be_bytes() != *seal {
            return None;
        }
        let (longs, words) = body.split_at_checked(32)?;
        let long = |at: usize| Some(i64::from_be_bytes(*longs.get(8 * at..)?.first_chunk()?));
        let word = |at: usize| Some(u32::from_be_bytes(*words.get(4 * at..)?.first_chunk()?));
        let key = SortKey { rank: long(2)?, number: word(0)? };
        Some(Self {
            epoch: word(1)?,
            version: word(2)?,
            created: (long(0)?, long(1)?),
            after: (key.number != u32::MAX).then_some(key),
            page: word(3)?,
            blanks: word(4)?,
            query_hash: long(3)?.cast_unsigned(),
        })
    }
}

/// The limits after which cursors expire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) uses: Option<u32>,
    pub(super) lifetime: Option<Duration>,
    /// The status of the response to an expired cursor.
    pub(super) status: u16,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { uses: None, lifetime: None, status: 404 }
    }
}

/// The cursors given out, remembered only while a limit can make them expire.
#[derive(Debug, Default)]
pub(super) struct IssuedCursors {
    epoch: u32,
    seen: HashMap<PageCursor, (i64, u32)>,
}

impl IssuedCursors {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn expire_all(&mut self) {
        self.epoch += 1;
        self.seen.clear();
    }

    pub(super) fn issue(&mut self, cursor: PageCursor, expiry: Expiry, now: i64) {
        if expiry.uses.is_some() || expiry.lifetime.is_some() {
            self.seen.entry(cursor).or_insert((now, 0));
        }
    }

    /// Counts a use, and returns false if the cursor has expired.
    pub(super) fn admit(&mut self, cursor: PageCursor, expiry: Expiry, now: i64) -> bool {
        if cursor.epoch != self.epoch {
            return false;
        }
        self.issue(cursor, expiry, now);
        let Some((issued, uses)) = self.seen.get_mut(&cursor) else { return true };
        *uses = uses.saturating_add(1);
        let age = u128::try_from(now.saturating_sub(*issued)).unwrap_or_default();
        expiry.uses.is_none_or(|most| *uses <= most)
            && expiry.lifetime.is_none_or(|lifetime| age < lifetime.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: PageCursor = PageCursor {
        epoch: 0,
        version: 3,
        created: (i64::MIN, 9),
        after: Some(SortKey { rank: -4, number: 5 }),
        page: 6,
        blanks: 7,
        query_hash: u64::MAX,
    };

    #[test]
    fn a_cursor_survives_a_round_trip() {
        for cursor in [CURSOR, PageCursor { after: None, ..CURSOR }] {
            assert_eq!(PageCursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn a_damaged_cursor_is_refused() {
        let text = CURSOR.encode();
        assert_eq!(PageCursor::decode(&text[1..]), None);
        assert_eq!(PageCursor::decode(&text.replacen('A', "B", 1)), None);
        assert_eq!(PageCursor::decode(""), None);
    }

    #[test]
    fn uses_and_age_are_counted() {
        let mut ledger = IssuedCursors::default();
        let twice = Expiry { uses: Some(2), ..Expiry::default() };
        assert_eq!([0; 3].map(|now| ledger.admit(CURSOR, twice, now)), [true, true, false]);
        let mut ledger = IssuedCursors::default();
        let brief = Expiry { lifetime: Some(Duration::from_secs(1)), ..Expiry::default() };
        ledger.issue(CURSOR, brief, 0);
        assert_eq!([999, 1000].map(|now| ledger.admit(CURSOR, brief, now)), [true, false]);
        assert!(ledger.admit(CURSOR, Expiry::default(), 5000));
        ledger.expire_all();
        assert!(!ledger.admit(CURSOR, Expiry::default(), 0));
    }
}
