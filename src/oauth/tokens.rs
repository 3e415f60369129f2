//! `Tokens`: an access token and its refresh token, as read from a file or from a reply of the service.

use std::{fmt, time::Duration};

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::token::Token;

/// An access token is renewed this long before it expires, or a tenth of its life if that is less.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// An access token and the refresh token that renews it.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) access: Option<Token>,
    /// If it is unknown, the access token is good until it is rejected.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// The time from which the access token is to be renewed.
    renew_at: Option<DateTime<Utc>>,
    pub(super) refresh: Token,
    refresh_expires_at: Option<DateTime<Utc>>,
    /// The other members of the file, which are kept.
    others: Map<String, Value>,
}

/// The usability of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    Good,
    /// Still good, and to be renewed.
    Due,
    /// Expired, or there is none.
    Unusable,
}

/// The members of the file that a grant replaces. Those that count seconds come from the service, and mean nothing
/// later.
const OURS: [&str; 6] = [
    "access_token",
    "expires_at",
    "expires_in",
    "refresh_token",
    "refresh_token_expires_at",
    "refresh_token_expires_in",
];

impl Tokens {
    /// Reads the text of a file. The error shows nothing of it.
    pub(super) fn from_file(text: &str, now: DateTime<Utc>) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.starts_with('{') {
            return Self::from_line(text);
        }
        let members = match serde_json::from_str(text) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err("it isn't a JSON object".to_owned()),
            Err(error) => {
                return Err(format!("it isn't JSON: see line {} column {}", error.line(), error.column()));
            }
        };
        let refresh = secret(&members, "refresh_token")?.ok_or("it holds no `refresh_token`")?;
        let mut tokens = Self {
            access: secret(&members, "access_token")?,
            expires_at: time(&members, "expires_at")?,
            renew_at: None,
            refresh,
            refresh_expires_at: time(&members, "refresh_token_expires_at")?,
            others: members,
        };
        tokens.others.retain(|name, _| !OURS.contains(&name.as_str()));
        tokens.schedule(now);
        Ok(tokens)
    }

    /// A file that is nothing but a refresh token.
    fn from_line(text: &str) -> Result<Self, String> {
        let refresh = Token::from(text);
        if text.contains(['"', '<', '[', '{']) || refresh.check().is_err() {
            return Err("it is neither a JSON object nor a refresh token on one line".to_owned());
        }
        let others = Map::new();
        Ok(Self { access: None, expires_at: None, renew_at: None, refresh, refresh_expires_at: None, others })
    }

    /// Reads the reply to a grant with these tokens that was sent at `now`.
    pub(super) fn granted(&self, reply: &[u8], now: DateTime<Utc>) -> Result<Self, &'static str> {
        Self::of_reply(reply, now, Some(self), self.others.clone())
    }

    /// Reads the reply to a login that was sent at `now`. `former` are the tokens that it replaces.
    pub(super) fn issued(
        reply: &[u8],
        now: DateTime<Utc>,
        former: Option<&Self>,
    ) -> Result<Self, &'static str> {
        let others = former.map(|former| former.others.clone()).unwrap_or_default();
        Self::of_reply(reply, now, None, others)
    }

    /// Reads a reply. Without a new refresh token, that of `held` stays.
    fn of_reply(
        reply: &[u8],
        now: DateTime<Utc>,
        held: Option<&Self>,
        others: Map<String, Value>,
    ) -> Result<Self, &'static str> {
        let Ok(Value::Object(reply)) = serde_json::from_slice(reply) else {
            return Err("it isn't a JSON object");
        };
        let token = |name: &str| secret(&reply, name).map_err(|_| "it holds an invalid token");
        let after = |name: &str| reply.get(name).and_then(Value::as_f64).and_then(|s| later(now, s));
        let access = token("access_token")?.ok_or("it holds no `access_token`")?;
        let expiry = after("refresh_token_expires_in");
        let (refresh, refresh_expires_at) = match (token("refresh_token")?, held) {
            (Some(refresh), Some(held)) if refresh == held.refresh => {
                (refresh, expiry.or(held.refresh_expires_at))
            }
            (Some(refresh), _) => (refresh, expiry),
            (None, Some(held)) => (held.refresh.clone(), expiry.or(held.refresh_expires_at)),
            (None, None) => return Err("it holds no `refresh_token`"),
        };
        let mut tokens = Self {
            access: Some(access),
            expires_at: after("expires_in"),
            renew_at: None,
            refresh,
            refresh_expires_at,
            others,
        };
        tokens.schedule(now);
        Ok(tokens)
    }

    /// Sets when to renew, from the time that is left at `now`.
    fn schedule(&mut self, now: DateTime<Utc>) {
        self.renew_at = self
            .expires_at
            .map(|end| end - (end.signed_duration_since(now) / 10).clamp(TimeDelta::zero(), MARGIN));
    }

    /// The content of the file.
    pub(super) fn to_file(&self) -> String {
        let mut members = self.others.clone();
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        for (name, value) in [
            ("access_token", self.access.as_ref().map(|token| token.secret().to_owned())),
            ("expires_at", self.expires_at.map(time)),
            ("refresh_token", Some(self.refresh.secret().to_owned())),
            ("refresh_token_expires_at", self.refresh_expires_at.map(time)),
        ] {
            if let Some(value) = value {
                members.insert(name.to_owned(), value.into());
            }
        }
        format!("{:#}\n", Value::Object(members))
    }

    pub(super) fn validity(&self, now: DateTime<Utc>) -> Validity {
        match (&self.access, self.expires_at, self.renew_at) {
            (None, ..) => Validity::Unusable,
            (_, Some(end), _) if end <= now => Validity::Unusable,
            (_, _, Some(renew)) if renew <= now => Validity::Due,
            _ => Validity::Good,
        }
    }

    /// The refresh token of a reply that holds no usable access token, if it is a new one. The reply can be cut off
    /// anywhere after it.
    pub(super) fn salvaged(&self, reply: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(reply);
        let (_, rest) = text.split_once("\"refresh_token\"")?;
        let value = rest.trim_start().strip_prefix(':')?;
        let refresh: String = serde_json::Deserializer::from_str(value).into_iter().next()?.ok()?;
        let refresh = Token::from(refresh);
        if refresh.check().is_err() || refresh == self.refresh {
            return None;
        }
        Some(Self { refresh, refresh_expires_at: None, ..self.clone() })
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.access == other.access && self.refresh == other.refresh
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A member that is a token. An empty one counts as missing.
fn secret(members: &Map<String, Value>, name: &str) -> Result<Option<Token>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let token = Token::from(text.as_str());
            token.check().map_err(|_| format!("its `{name}` isn't a valid token"))?;
            Ok(Some(token))
        }
        Some(_) => Err(format!("its `{name}` isn't a string")),
    }
}

fn time(members: &Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    let text = match members.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().unwrap_or_default(),
    };
    match DateTime::parse_from_rfc3339(text).ok().and_then(|time| writable(time.to_utc())) {
        Some(time) => Ok(Some(time)),
        None => Err(format!("its `{name}` isn't a time such as 2026-01-05T09:00:00Z")),
    }
}

/// The instant `seconds` after `now`. An impossible number is ignored.
fn later(now: DateTime<Utc>, seconds: f64) -> Option<DateTime<Utc>> {
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    now.checked_add_signed(TimeDelta::from_std(span).ok()?).and_then(writable)
}

/// Returns `None` for a time that RFC 3339 can't express, so that every file that is written can be read.
fn writable(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(time).filter(|time| (0..=9999).contains(&time.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
    }

    fn read(text: &str) -> Tokens {
        Tokens::from_file(text, at(0)).unwrap()
    }

    #[test]
    fn a_file_is_read_in_each_of_its_forms() {
        let access = Some(Token::from("a"));
        for (text, expected, expires_at) in [
            ("r\n", None, None),
            ("\u{feff} r \r\n", None, None),
            (r#"{"refresh_token":"r"}"#, None, None),
            (r#"{"refresh_token":"r","access_token":"","expires_at":null}"#, None, None),
            (
                r#"{"refresh_token":"r","access_token":"a","expires_at":"2026-01-01T01:00:00+01:00"}"#,
                access.clone(),
                Some(at(0)),
            ),
            // The service's own reply: nobody knows how old it is.
            (
                r#"{"access_token":"a","expires_in":1209599,"refresh_token":"r","refresh_token_expires_in":7775999}"#,
                access.clone(),
                None,
            ),
        ] {
            let tokens = read(text);
            assert_eq!((tokens.access, tokens.expires_at), (expected, expires_at), "{text}");
            assert_eq!(tokens.refresh, Token::from("r"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_one_is_refused_without_showing_it() {
        for (text, reason) in [
            ("", "neither"),
            ("s3cr3t s3cr3t", "neither"),
            ("s3cr3t\ns3cr3t", "neither"),
            ("\"s3cr3t\"", "neither"),
            ("[\"s3cr3t\"]", "neither"),
            ("<html>s3cr3t", "neither"),
            ("{\"refresh_token\":\"s3cr3t", "isn't JSON"),
            ("{\"refresh_token\":s3cr3t}", "isn't JSON"),
            ("{}", "no `refresh_token`"),
            ("{\"access_token\":\"s3cr3t\"}", "no `refresh_token`"),
            ("{\"refresh_token\":[\"s3cr3t\"]}", "isn't a string"),
            ("{\"refresh_token\":\"s3cr3t s3cr3t\"}", "isn't a valid token"),
            ("{\"refresh_token\":\"r\",\"expires_at\":\"s3cr3t\"}", "isn't a time"),
            ("{\"refresh_token\":\"r\",\"expires_at\":1767225600}", "isn't a time"),
        ] {
            let error = Tokens::from_file(text, at(0)).unwrap_err();
            assert!(error.contains(reason) && !error.contains("s3cr3t"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_ours_stays_in_the_file_and_what_is_stale_does_not() {
        let old = read(
            r#"{"note":{"by":"hand"},"access_token":"a","expires_in":5,"refresh_token":"r","refresh_token_expires_in":9}"#,
        );
        let new = old.granted(br#"{"access_token":"b","expires_in":60,"scope":"x"}"#, at(0)).unwrap();
        let file: Value = serde_json::from_str(&new.to_file()).unwrap();
        let expected = serde_json::json!({
            "note": {"by": "hand"},
            "access_token": "b",
            "expires_at": "2026-01-01T00:01:00Z",
            "refresh_token": "r",
        });
        assert_eq!(file, expected);
        assert!(read(&new.to_file()).same_as(&new));
    }

    #[test]
    fn a_reply_replaces_the_refresh_token_or_keeps_it() {
        let old = read(r#"{"refresh_token":"r","refresh_token_expires_at":"2026-03-01T00:00:00Z"}"#);
        for (reply, refresh, expires_at) in [
            (r#"{"access_token":"b"}"#, "r", old.refresh_expires_at),
            (r#"{"access_token":"b","refresh_token":""}"#, "r", old.refresh_expires_at),
            (r#"{"access_token":"b","refresh_token":"r","refresh_token_expires_in":60}"#, "r", Some(at(60))),
            (
                r#"{"access_token":"b","refresh_token":"s","refresh_token_expires_in":90.0}"#,
                "s",
                Some(at(90)),
            ),
            (r#"{"access_token":"b","refresh_token":"s"}"#, "s", None),
        ] {
            let new = old.granted(reply.as_bytes(), at(0)).unwrap();
            assert_eq!(new.access, Some(Token::from("b")), "{reply}");
            assert_eq!((new.refresh, new.refresh_expires_at), (Token::from(refresh), expires_at), "{reply}");
        }
        for reply in
            ["", "[]", "{}", r#"{"access_token":7}"#, r#"{"access_token":"a b"}"#, r#"{"access_token":"#]
        {
            assert!(old.granted(reply.as_bytes(), at(0)).is_err(), "{reply}");
        }
    }

    #[test]
    fn a_new_refresh_token_is_found_in_a_reply_that_is_otherwise_unusable() {
        let old = read(r#"{"refresh_token":"r","access_token":"a","note":1}"#);
        for reply in [
            r#"{"refresh_token":"s"}"#,
            r#"{"access_token":"b b","refresh_token":"s"}"#,
            r#"{"access_token":7,"refresh_token" : "s","expires_in":60}"#,
            r#"{"refresh_token":"s","access_tok"#,
            r#"{"expires_in":60,"refresh_token":"s""#,
        ] {
            let saved = old.salvaged(reply.as_bytes()).unwrap();
            assert_eq!((&saved.refresh, &saved.access), (&"s".into(), &old.access), "{reply}");
            assert!(saved.to_file().contains("note"));
        }
        for reply in [
            "",
            r#"{"refresh_token":"r"}"#,
            r#"{"refresh_token":"s"#,
            r#"{"refresh_token":7}"#,
            r#"{"refresh_token":"s s"}"#,
            r#"{"refresh_token":""}"#,
            r#"{"refresh_token"#,
        ] {
            assert!(old.salvaged(reply.as_bytes()).is_none(), "{reply}");
        }
    }

    #[test]
    fn an_access_token_is_renewed_a_little_before_it_expires() {
        let old = read("r");
        assert_eq!(old.validity(at(0)), Validity::Unusable);
        for (expires_in, due, gone) in [
            // Never more than five minutes before, and never more than a tenth of its life.
            ("1209600", 1_209_300, 1_209_600),
            ("3600", 3300, 3600),
            ("3000", 2700, 3000),
            ("100", 90, 100),
        ] {
            let reply = format!(r#"{{"access_token":"b","expires_in":{expires_in}}}"#);
            let new = old.granted(reply.as_bytes(), at(0)).unwrap();
            let validity = [0, due - 1, due, gone - 1, gone].map(|now| new.validity(at(now)));
            assert_eq!(
                validity,
                [Validity::Good, Validity::Good, Validity::Due, Validity::Due, Validity::Unusable]
            );
            // A reply that is read later counts from the time that is left.
            let late = Tokens::from_file(&new.to_file(), at(gone - 10)).unwrap();
            assert_eq!(
                [gone - 2, gone - 1].map(|now| late.validity(at(now))),
                [Validity::Good, Validity::Due]
            );
        }
    }

    #[test]
    fn an_impossible_lifetime_is_unknown_and_one_of_zero_has_ended() {
        let old = read("r");
        for expires_in in ["null", "\"soon\"", "-1", "1e300", "18446744073709551615"] {
            let reply = format!(r#"{{"access_token":"b","expires_in":{expires_in}}}"#);
            let new = old.granted(reply.as_bytes(), at(0)).unwrap();
            assert_eq!(new.validity(at(1_000_000_000)), Validity::Good, "{expires_in}");
        }
        let new = old.granted(br#"{"access_token":"b","expires_in":0}"#, at(0)).unwrap();
        assert_eq!(new.validity(at(0)), Validity::Unusable);
    }

    #[test]
    fn written_tokens_can_be_read_again() {
        for seconds in ["0", "0.5", "60", "251636371200", "300000000000", "8000000000000"] {
            let reply = format!(
                r#"{{"access_token":"b","expires_in":{seconds},"refresh_token_expires_in":{seconds}}}"#
            );
            let new = read("r").granted(reply.as_bytes(), at(0)).unwrap();
            let again = Tokens::from_file(&new.to_file(), at(0)).unwrap();
            assert!(again.same_as(&new), "{seconds}");
        }
        for time in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"] {
            let file = format!(r#"{{"access_token":"a","refresh_token":"r","expires_at":"{time}"}}"#);
            if let Ok(tokens) = Tokens::from_file(&file, at(0)) {
                assert!(Tokens::from_file(&tokens.to_file(), at(0)).unwrap().same_as(&tokens), "{time}");
            }
        }
    }
}
