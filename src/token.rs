//! `Token`, and where tokens come from: `TokenSource`.

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;

use crate::error::{Error, Result};

mod provider;

pub(crate) use provider::{Access, TokenProvider};

/// An access token. It can be put in, and not be got out: no `Display`, no serialisation, and a
/// [`Debug`] that doesn't show it.
///
/// White space around it is cut off, so that the content of a file can be passed as it is.
///
/// ```
/// use webex_events::Token;
///
/// let token = Token::from("NGRjZmQ5ZDAt\n");
/// assert_eq!(token, Token::from("NGRjZmQ5ZDAt"));
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// Whether it can be sent at all: RFC 6750 section 2.1 allows less than visible ASCII.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::config("the token is empty"));
        }
        if self.0.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
            return Err(Error::config("the token begins with `Bearer `; that word isn't part of it"));
        }
        if !self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config("the token holds spaces, control characters or non-ASCII characters"));
        }
        Ok(())
    }

    /// `text` with the token cut out of it, also where JSON writes it with escapes.
    pub(crate) fn cut_from(&self, text: &str) -> String {
        let mut cut = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = self.end_in(rest) {
                cut.push('…');
                rest = after;
            } else {
                cut.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
        cut
    }

    /// What follows the token in `text`, if it begins with it.
    fn end_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let escaped = |c: char, text: &'a str| {
            let escape = text.strip_prefix('\\')?;
            let code = escape.strip_prefix('u').and_then(|code| Some((code.get(..4)?, code.get(4..)?)));
            match code {
                Some((hex, after)) => (u32::from_str_radix(hex, 16) == Ok(u32::from(c))).then_some(after),
                None => escape.strip_prefix(c),
            }
        };
        if self.0.is_empty() {
            return None;
        }
        self.0.chars().try_fold(text, |text, c| text.strip_prefix(c).or_else(|| escaped(c, text)))
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.trim().into())
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        token.as_str().into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where a client's access tokens come from, for one that outlives a token.
///
/// [`OAuth`](crate::OAuth) is one that renews its token. A [`Token`] is one that never changes. One of
/// your own may ask a vault, or read a file that another process keeps fresh.
///
/// It is asked before every attempt and should answer from memory as long as it can. `rejected` is the
/// token that was just answered with 401; only one such request is in flight at a time for a client and
/// its clones, however many of their streams run, and those whose token was rejected meanwhile get the same
/// answer. A request without a rejected token can come at any time.
///
/// # Errors
///
/// An error of the source is that of the attempt. A transient one
/// ([`is_transient`](Error::is_transient)) is tried again as the
/// [`RetryPolicy`](crate::RetryPolicy) says, so that a source needs no loop of its own:
/// [`TransportError::new`](crate::TransportError::new) makes one. Any other ends the stream;
/// [`Error::Config`] can carry the reason. What an error says is shown and logged;
/// no secret must be in it.
///
/// # Cancel safety
///
/// The future is dropped with the last stream that waits for it, and goes on with any of them that is polled.
/// Work that must not be lost on the way, such as the storing of a new token, belongs in a task of its own. It
/// must not wait for the client that asks.
///
/// ```
/// use std::{path::PathBuf, sync::Mutex};
/// use futures::future::BoxFuture;
/// use webex_events::{Error, Result, Token, TokenSource};
///
/// /// A file that something else keeps fresh, read again when its token is rejected.
/// #[derive(Debug)]
/// struct TokenFile {
///     path: PathBuf,
///     token: Mutex<Option<Token>>,
/// }
///
/// impl TokenSource for TokenFile {
///     fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
///         Box::pin(async move {
///             let known = self.token.lock().unwrap().clone();
///             if let Some(token) = known.filter(|token| Some(token) != rejected) {
///                 return Ok(token);
///             }
///             let text = std::fs::read_to_string(&self.path)
///                 .map_err(|error| Error::Config(format!("{}: {error}", self.path.display()).into()))?;
///             let token = Token::from(text);
///             *self.token.lock().unwrap() = Some(token.clone());
///             Ok(token)
///         })
///     }
/// }
///
/// # let path = std::env::temp_dir().join(format!("webex-events-doc-{}", std::process::id()));
/// # std::fs::write(&path, "NGRjZmQ5ZDAt\n").unwrap();
/// let source = TokenFile { path, token: Mutex::default() };
/// # let path = source.path.clone();
/// let client = webex_events::Client::builder().token_source(source).build()?;
/// # std::fs::remove_file(path).unwrap();
/// # drop(client);
/// # Ok::<(), Error>(())
/// ```
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token to send. `rejected` is the one that was just answered with 401, if any.
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>>;
}

/// Always this one, rejected or not.
impl TokenSource for Token {
    fn token<'a>(&'a self, _: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_sent_is_refused_without_showing_it() {
        for token in ["", " \n", "sec\u{7}ret", "sec ret", "sécret", "Bearer secret", "sec\nret"] {
            let error = Token::from(token).check().unwrap_err();
            assert!(matches!(&error, Error::Config(text) if !text.contains("ret")), "{error}");
        }
        assert!(Token::from(" a-token_0~+/.== ").check().is_ok());
    }

    #[test]
    fn a_repeated_token_is_cut_out() {
        assert_eq!(Token::from("abc").cut_from("Bearer abc, abc"), "Bearer …, …");
        assert_eq!(Token::from("a/b").cut_from(r"xa/b a\/b \u0061/\u0062a/"), "x… … …a/");
    }
}
